"""Questions to the store that change nothing, and what their answers look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.model import Connection, Kind, Transition
    from monitor.core.tally import Key
    from monitor.core.target_health import TargetHealth
    from monitor.ports.alerts import AlertFilter, AlertView, IncidentView


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How current the watch over a target is.

    ``fresh``: active users whose last good snapshot is at most two intervals old. ``overdue``: users due for more
    than one interval. ``oldest``: last good snapshot of the active user seen longest ago, None without any.
    ``latest``: the newest good snapshot of all, None without any.
    """

    fresh: int
    overdue: int
    oldest: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """One current connection. ``since`` is when it came into its status, ``observed_at`` when it was last seen."""

    target: str
    user_id: UUID
    connection: Connection
    since: datetime
    first_seen_at: datetime
    observed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSnapshot:
    """One stored snapshot: what a user's connections were from ``first_observed_at`` to ``last_observed_at``.

    ``gone`` says that the user was gone then. ``last_observed_at`` of the newest one moves with every good poll.
    """

    first_observed_at: datetime
    last_observed_at: datetime
    gone: bool
    connections: tuple[Connection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionFilter:
    """Which transitions are wanted; None means any. ``since`` is inclusive, ``until`` exclusive, of observation."""

    target: str | None = None
    user_id: UUID | None = None
    provider: str | None = None
    kind: Kind | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationBacklog:
    """Transitions that are not yet evaluated, those set aside included; ``oldest`` is None without any."""

    entries: int
    oldest: datetime | None


class Views(Protocol):
    """Questions that change nothing."""

    async def counts(self) -> Mapping[Key, int]:
        """Return all counts; those at zero are kept until they are pruned."""
        ...

    async def freshness(self, target: str, *, interval: timedelta, now: datetime) -> Freshness:
        """Return how current the watch over ``target`` is."""
        ...

    async def health(self) -> Mapping[str, TargetHealth]:
        """Return what is known of each target as a whole; a target that never had a user is left out."""
        ...

    async def evaluation_backlog(self) -> EvaluationBacklog:
        """Return how much waits to be evaluated, and since when."""
        ...

    async def reported(self, *, since: datetime) -> Mapping[str, int]:
        """Return the vendor's own total of errored connections, by target, where it was had since then."""
        ...

    def connections(
        self,
        *,
        target: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        user_id: UUID | None = None,
    ) -> AsyncIterator[ConnectionView]:
        """Yield current connections of users that are not removed, by target, as users were registered, by provider."""
        ...

    def transitions(self, wanted: TransitionFilter) -> AsyncIterator[Transition]:
        """Yield transitions, oldest observation first; of one user and time in the order of the diff."""
        ...

    def alerts(self, wanted: AlertFilter) -> AsyncIterator[AlertView]:
        """Yield alerts in the order in which they were confirmed."""
        ...

    async def incidents(
        self, *, target: str | None = None, provider: str | None = None, since: datetime | None = None
    ) -> Sequence[IncidentView]:
        """Return open incidents, and those that resolved at or after ``since`` where it is given, oldest first."""
        ...

    async def snapshot_at(self, target: str, user_id: UUID, at: datetime) -> PastSnapshot | None:
        """Return the snapshot as it stood at ``at``, None before the first."""
        ...

    async def ping(self) -> None:
        """Return when the database answers at the expected schema.

        Raises:
            StoreUnavailable: it does not answer.
            SchemaMismatch: it answers at another revision.
        """
        ...

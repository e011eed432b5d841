"""What alert decisions are taken on, where they are kept, and how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.alerting import Alert
    from monitor.core.evaluation import Docket, Outcome
    from monitor.core.incidents import Incident
    from monitor.core.model import User
    from monitor.core.policy import Policy, Severity


Registration = tuple[int, "datetime"]
"""A user's key, and when it was registered; SQLite may give the key again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A docket under a lease; ``more`` says that others are left for the next one.

    ``members`` are the users in it: who was erased and registered again meanwhile is somebody else.
    """

    docket: Docket
    lease: int
    more: bool
    members: Mapping[User, Registration]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationScope:
    """A part of what waits to be evaluated.

    Attributes:
        members: keys of the users whose entries and due alerts are read; None means all.
        incidents: the open incidents that are read; None means all.
        last_entry: the last entry that is read; None means all.
        skipped_members: users whose due alerts are left out; their new entries are not.
        skipped_incidents: open incidents that are left out.
    """

    members: frozenset[int] | None = None
    incidents: frozenset[UUID] | None = None
    last_entry: int | None = None
    skipped_members: frozenset[int] = frozenset()
    skipped_incidents: frozenset[UUID] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether it is not restricted to some users."""
        return self.members is None


EVERYTHING: Final = EvaluationScope()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingKeys:
    """What waits to be evaluated, by key alone: reading it cannot fail because of what one user's rows hold."""

    members: Sequence[int]
    incidents: Sequence[UUID]
    last_entry: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A user whose entries were set aside, and how many; none where only a due alert cannot be evaluated."""

    user: User
    entries: int


class Alerts(Protocol):
    """The decisions on alerts: taken by one replica at a time, each committed with all that follows from it."""

    async def take(
        self,
        policy: Policy,
        *,
        limit: int,
        now: datetime,
        lease: timedelta,
        scope: EvaluationScope = EVERYTHING,
    ) -> Taken | None:
        """Take what is to be decided at ``now``, None where there is nothing or another replica has it in hand.

        ``limit`` bounds the new transitions, and again the alerts whose time has come. ``policy`` says how far back
        the docket reaches. Entries that were set aside are left out. A restricted ``scope`` is taken even if nothing
        in it waits. Where reading fails, the lease is given back.
        """
        ...

    async def waiting(self, policy: Policy, *, limit: int, now: datetime, scope: EvaluationScope) -> WaitingKeys:
        """Return the users and incidents that :meth:`take` would read."""
        ...

    async def set_aside(self, member: int, *, last_entry: int, reason: str, now: datetime) -> SetAside | None:
        """Leave a user's entries up to ``last_entry`` out of later evaluations and keep them; None: unknown user."""
        ...

    async def retry_set_aside(self) -> int:
        """Put entries that were set aside back into the queue and return how many.

        An entry is deleted instead where a later one of the same connection, or of the whole user, was evaluated
        meanwhile: evaluated out of order, it would start an alert that nothing ends. So is a removal whose user was
        added again: it would end an alert that nothing starts again.
        """
        ...

    async def open_alert_keys(self, *, limit: int, after: int) -> WaitingKeys:
        """Return the next ``limit`` users that have open alerts, in the order of their keys.

        ``after`` is the key that the last page ended with; with the first page, after 0, come all open incidents.
        """
        ...

    async def claim_open_alerts(
        self, policy: Policy, *, scope: EvaluationScope, now: datetime, lease: timedelta
    ) -> Taken | None:
        """Take the open alerts of the users that ``scope`` names, and its open incidents.

        None where another replica has alerts in hand. It is settled or released like what :meth:`take` returns. Where
        reading fails, the lease is given back.
        """
        ...

    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, *, sinks: Collection[str]) -> bool:
        """Write everything that was decided, in one transaction with what it was decided on; the lease ends.

        False where the lease had passed: then nothing was written, and somebody else decides. What was decided on
        users that were erased meanwhile is left out. A firing is queued for each of ``sinks``, an end for the sinks
        that have the firing, whether they are among ``sinks`` or not.
        """
        ...

    async def release(self, taken: Taken) -> None:
        """Give back what was taken and could not be settled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert as it is kept: why it fired, None before, and why it is in its state."""

    alert: Alert
    fired_reason: str | None
    reason: str
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """One incident as it is kept. ``broken`` counts its members' alerts that are not over."""

    incident: Incident
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts are wanted; None means any. ``since`` keeps those that are open or ended at or after it."""

    target: str | None = None
    user_id: UUID | None = None
    provider: str | None = None
    severity: Severity | None = None
    only_open: bool = False
    since: datetime | None = None

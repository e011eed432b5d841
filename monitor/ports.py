"""The shapes of the outside: what the loops ask of Junction and of the store, as protocols and values.

The store is one place with four subjects: polls, cohort, outbox and views. Every method may raise
:class:`monitor.errors.StoreUnavailable`, and then has changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.judge import Claim, Known, Verdict
    from monitor.core.model import Connection, Intent, Kind, Outcome, Presence, Snapshot, Transition
    from monitor.core.tally import Key


# --- Junction -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back of one request.

    ``outcome`` is None for a 200 whose ``body`` is to be read, else what the answer means by itself. ``code`` is
    the label of ``junction_monitor_requests_total``: the HTTP status, or ``timeout``, ``connect``, ``tls``.
    ``retry_after`` is what a 429 or 503 asked for. ``detail`` is a short text for a person, free of secrets.
    """

    outcome: Outcome | None
    code: str
    body: bytes = b""
    retry_after: timedelta | None = None
    detail: str | None = None

    @property
    def answered(self) -> bool:
        """Whether any HTTP answer came."""
        return self.code.isdigit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUser:
    """One user as the target's own list has it."""

    user_id: UUID
    client_user_id: str | None


class Junction(Protocol):
    """One target's API. No method raises for what the network or the vendor does; faults are values."""

    async def connections(self, user_id: UUID) -> Answer:
        """Ask for one user's connections. One attempt, bounded by ``poll.timeout`` from start to last byte."""
        ...

    def read(self, body: bytes) -> Snapshot | None:
        """Return what the body of a 200 shows, None where it is malformed as a whole."""
        ...

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Ask for one page of the target's user list; anything but a page is the answer that came instead."""
        ...

    async def errored_connections(self) -> int | None:
        """Ask for the vendor's own total of errored connections, None where it cannot be had."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """One page of the user list, and the total that the vendor states."""

    users: tuple[ListedUser, ...]
    total: int
    malformed_rows: int = 0


# --- Store: polls ---------------------------------------------------------------------------------------------


class Polls(Protocol):
    """The queue: who is due, and what came of it."""

    async def claim(self, target: str, *, limit: int, now: datetime, lease: timedelta) -> list[Claim]:
        """Take up to ``limit`` active users (gone ones included) that are due, oldest due first, under a lease.

        A user under a lease that has not expired is not handed out. Paused, invalid and removed users never are.
        """
        ...

    async def claim_users(
        self, target: str, user_ids: Sequence[UUID], *, now: datetime, lease: timedelta
    ) -> list[Claim]:
        """Take these users, whether due or not; those that are not active or under a live lease are left out."""
        ...

    async def known(self, claims: Sequence[Claim]) -> Mapping[int, Known]:
        """Return what is remembered of the claimed users, by claim key; users erased meanwhile are left out."""
        ...

    async def commit(self, verdicts: Sequence[Verdict], *, now: datetime) -> frozenset[int]:
        """Write everything the verdicts say in one transaction, and return the keys for which it was written.

        A verdict whose lease is no longer held (expired and taken over, or the user was paused, removed or erased
        meanwhile) changes nothing. Snapshot, current state, transitions, counts, alerts, outbox and due time
        commit together or not at all. The lease ends with it.
        """
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give back users that were claimed and not asked; they are due as before."""
        ...

    async def recover(self) -> int:
        """End the leases a killed process left behind, where this process is alone (SQLite); return how many."""
        ...

    async def bring_forward(self, target: str, *, interval: timedelta, now: datetime) -> int:
        """Give active and present users that are due later than ``interval`` from now their place in it.

        A shorter interval was configured; the place is that of :func:`monitor.core.cadence.next_due`.
        """
        ...


# --- Store: outbox --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One line of the alert log that is to be written at least once. ``payload`` is what the line says."""

    id: int
    payload: Mapping[str, Any]


class Outbox(Protocol):
    """What was decided and is to be told."""

    async def pending(self, *, limit: int) -> list[Notice]:
        """Return the oldest notices that are not marked as written."""
        ...

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Mark notices as written, after the line was flushed."""
        ...

    async def undelivered(self) -> int:
        """Return how many notices wait."""
        ...


# --- Store: cohort --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a registration came to: new members, members that had been removed and are back, members already."""

    added: int
    returned: int
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One user of the cohort with all that is kept in its row."""

    target: str
    user_id: UUID
    client_user_id: str | None
    intent: Intent
    presence: Presence
    reason: str | None
    registered_at: datetime
    observed_at: datetime | None
    next_poll_at: datetime
    failures: int


class Cohort(Protocol):
    """Who is watched. What a person decides here stands apart from what is observed."""

    async def register(self, target: str, users: Iterable[ListedUser], *, now: datetime, revive: bool) -> Registered:
        """Register users in one transaction; new ones are due at once.

        ``revive`` brings removed users back (a person asked); without it (discovery) they stay removed. Paused
        users stay paused. A ``client_user_id`` that is given replaces the old one.
        """
        ...

    async def set_intent(
        self, target: str, user_ids: Sequence[UUID] | None, intent: Intent, *, now: datetime
    ) -> frozenset[UUID]:
        """Pause, resume (ACTIVE) or remove users (None: all), and return those that it concerned.

        Resuming also clears an invalid presence and makes the user due at once. Removing ends the user's
        connections in the counts, resolves its open alerts (through the outbox) and keeps its history. Unknown and
        removed users are not concerned, except that REMOVED on a removed user is not an error. Leases end.
        """
        ...

    async def erase(self, target: str, user_id: UUID, *, now: datetime) -> bool:
        """Delete every trace of a user, and adjust the counts; False where it is not known."""
        ...

    def members(self, target: str | None, *, include_removed: bool = False) -> AsyncIterator[Member]:
        """Yield the members ordered by target and user id, in bounded memory."""
        ...

    async def member(self, target: str, user_id: UUID) -> Member | None:
        """Return one member, removed ones included."""
        ...


# --- Store: views ---------------------------------------------------------------------------------------------


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


class Views(Protocol):
    """Questions that change nothing."""

    async def counts(self) -> Mapping[Key, int]:
        """Return all counts; zeros are kept, so that a series that fell to nothing is still known."""
        ...

    async def freshness(self, target: str, *, interval: timedelta, now: datetime) -> Freshness:
        """Return how current the watch over ``target`` is."""
        ...

    def connections(
        self,
        *,
        target: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        user_id: UUID | None = None,
    ) -> AsyncIterator[ConnectionView]:
        """Yield current connections of users that are not removed, ordered by target, user and provider."""
        ...

    def transitions(self, wanted: TransitionFilter) -> AsyncIterator[Transition]:
        """Yield transitions, oldest observation first; of one user and time in the order of the diff."""
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


class Store(Protocol):
    """One database."""

    @property
    def polls(self) -> Polls:
        """The queue."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What is to be told."""
        ...

    @property
    def cohort(self) -> Cohort:
        """Who is watched."""
        ...

    @property
    def views(self) -> Views:
        """Questions."""
        ...

    async def aclose(self) -> None:
        """Give every connection back."""
        ...


# --- Metrics --------------------------------------------------------------------------------------------------


class Metrics(Protocol):
    """What the loops tell of their own work. All calls are cheap and never raise."""

    def polled(self, target: str, outcome: Outcome, duration_seconds: float, lag_seconds: float) -> None:
        """One poll ended."""
        ...

    def requested(self, target: str, code: str) -> None:
        """One request was answered, or failed, with this code."""
        ...

    def malformed_rows(self, target: str, count: int) -> None:
        """Rows of an answer could not be read."""
        ...

    def detected(self, target: str, delay_seconds: float) -> None:
        """An error was observed this long after the vendor says that it began."""
        ...

    def recovered(self, target: str, seconds: float) -> None:
        """A connection left ``error`` for ``connected`` after this long."""
        ...

    def committed(self, seconds: float) -> None:
        """One commit took this long."""
        ...

    def delivered(self, sink: str, outcome: str, count: int) -> None:
        """Notices were handed to a sink, or were not."""
        ...

    def target_up(self, target: str, up: bool) -> None:
        """The target answers us, or rejects us or is out of reach."""
        ...

    def throttle_factor(self, target: str, factor: float) -> None:
        """The share of the configured rate that holds now."""
        ...

    def succeeded(self, target: str, at: datetime) -> None:
        """A good snapshot was committed."""
        ...

    def database_up(self, up: bool) -> None:
        """The database answers, or does not."""
        ...

    def reported_errored(self, target: str, count: int | None) -> None:
        """The vendor's own total of errored connections, None while it cannot be had."""
        ...

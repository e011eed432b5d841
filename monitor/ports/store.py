"""One database, by subject: the queue, the cohort, the outbox, the upkeep and the questions.

Every method may raise :class:`monitor.errors.StoreUnavailable`, and then has changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from monitor.core.judge import NO_DOUBTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.budget import Budget, Pace
    from monitor.core.judge import Cadence, Claim, Doubts, Known, Verdict
    from monitor.core.model import Intent, Presence
    from monitor.core.tally import Key
    from monitor.core.target_health import PollAnswer, RecentPolls
    from monitor.ports.alerts import Alerts
    from monitor.ports.junction import ListedUser
    from monitor.ports.outbox import Outbox
    from monitor.ports.personal import PersonalData
    from monitor.ports.views import Views


Cursor = tuple["datetime", int, int]
"""How far a walk through the transitions has come: time of observation, member, ordinal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim came to: users in hand, and the target's budget after it.

    ``asks`` says that the caller is to ask the target about itself; nobody else does for some seconds.
    """

    claims: list[Claim]
    budget: Budget
    asks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """How many requests may be made now, and the target's budget after it."""

    requests: int
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """What answers made of a target: its budget before and after them, and the recently polled users with them."""

    before: Budget
    after: Budget
    recent: RecentPolls


class Polls(Protocol):
    """The queue: who is due, and what came of it."""

    async def claim(self, target: str, *, limit: int, now: datetime, lease: timedelta, pace: Pace) -> Claimed:
        """Take active users (gone and invalid ones included) that are due, oldest due first, under a lease.

        As many as are due, at most ``limit``, and at most as the target's budget allows, which all replicas share and
        which is debited in the same transaction, after the lessons of ``pace``. A user under a lease that has not
        expired is not handed out. Paused and removed users never are.
        """
        ...

    async def spend(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for polls of users that a person named, as many as it allows."""
        ...

    async def spend_reserved(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for requests beside polls, as many as it allows; a tenth of it is kept for them."""
        ...

    async def claim_users(
        self, target: str, user_ids: Sequence[UUID], *, now: datetime, lease: timedelta
    ) -> list[Claim]:
        """Take these users, whether due or not; those that are not active or under a live lease are left out."""
        ...

    async def assess(
        self, target: str, answers: Sequence[PollAnswer], *, since: datetime, now: datetime, pace: Pace
    ) -> Assessed:
        """Take in what answers, not committed yet, say of their target as a whole, after the lessons of ``pace``.

        ``since`` bounds who was polled recently.
        """
        ...

    async def note_question(self, target: str, answer: PollAnswer, *, now: datetime, pace: Pace) -> Assessed:
        """Take in what came back when the target was asked about itself; the recent polls are left out."""
        ...

    async def known(self, claims: Sequence[Claim]) -> Mapping[int, Known]:
        """Return what is remembered of the claimed users, by claim key; users erased meanwhile are left out."""
        ...

    async def commit(self, verdicts: Sequence[Verdict], *, now: datetime) -> frozenset[int]:
        """Write everything the verdicts say in one transaction, and return the keys for which it was written.

        A verdict whose lease is no longer held (it passed, or the user was paused, removed or erased meanwhile)
        changes nothing. Snapshot, current state, transitions (with those that alert decisions are to be taken on),
        counts and due time commit together or not at all. The lease ends with it.
        """
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give back users that were claimed and not asked; they are due as before."""
        ...

    async def recover(self) -> int:
        """End the leases on users that a killed process left behind, where this process is alone (SQLite).

        Leases on notices and jobs end too. Returns how many users it were.
        """
        ...

    async def bring_forward(self, target: str, *, cadence: Cadence, now: datetime) -> int:
        """Give active users that are due later than any rule would have them due their place in the interval.

        A shorter interval was configured, or a clock that was ahead was set back; the place is that of
        :func:`monitor.core.cadence.next_due`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a registration came to: new members, members that had been removed and are back, members already."""

    added: int
    returned: int
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One user of the cohort with all that is kept in its row.

    ``outcome`` and ``failed_at`` tell how and when the last poll failed, None where it was good. ``doubts`` tells what
    is absent and not yet confirmed to be.
    """

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
    outcome: str | None = None
    failed_at: datetime | None = None
    doubts: Doubts = NO_DOUBTS


class Cohort(Protocol):
    """Who is watched. What a person decides here stands apart from what is observed."""

    async def register(self, target: str, users: Iterable[ListedUser], *, now: datetime, revive: bool) -> Registered:
        """Register users in one transaction; new ones are due at once.

        ``revive`` brings removed and erased users back (a person asked); without it (discovery) they stay away. Paused
        users stay paused. A ``client_user_id`` that is given replaces the old one. Who is back is polled at once, also
        when the vendor called its id invalid before, and its errors that last fire again. ``created_on`` is kept of
        new users that discovery found.
        """
        ...

    async def set_intent(
        self, target: str, user_ids: Sequence[UUID] | None, intent: Intent, *, now: datetime
    ) -> frozenset[UUID]:
        """Pause, resume (ACTIVE) or remove users (None: all), and return those that it concerned.

        Resuming also clears an invalid presence and makes the user due at once. Removing ends the user's
        connections in the counts, queues the end of its open alerts and keeps its history. Unknown and
        removed users are not concerned, except that REMOVED on a removed user is not an error. Leases end.
        """
        ...

    async def erase(self, target: str, user_id: UUID, *, now: datetime) -> bool:
        """Delete every trace of a user, and adjust the counts; False where it is not known.

        The sinks that have a firing of its alerts and not the end are queued an end that says nothing about the user.
        A salted hash of its id stays, so that it is not registered again before a person asks. The database's own log
        may still hold the text: see :meth:`Upkeep.purge_log`.
        """
        ...

    async def note_discovery(self, target: str, now: datetime) -> None:
        """Note when the target's user list was first read whole; later calls change nothing."""
        ...

    async def note_list(self, target: str, listed: frozenset[UUID], started_at: datetime) -> None:
        """Note which users that answer 404 a complete list names, and which it does not (``unlisted_at``).

        A list that names no user of the cohort is not about it, and changes nothing.
        """
        ...

    def members(self, target: str | None, *, include_removed: bool = False) -> AsyncIterator[Member]:
        """Yield the members ordered by target and user id, in bounded memory."""
        ...

    async def member(self, target: str, user_id: UUID) -> Member | None:
        """Return one member, removed ones included."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows a step of pruning deleted, and where the next one begins; None when there is none left."""

    deleted: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounted:
    """One count that is wrong: as it is kept, and as it should be."""

    kept: int
    counted: int


class Upkeep(Protocol):
    """What one replica does now and then for all: turns at recurring jobs, and what these write."""

    async def begin(self, job: str, *, every: timedelta, now: datetime, lease: timedelta) -> int | None:
        """Take a job that nobody has in hand and that did not run for ``every``; return the lease, None without."""
        ...

    async def renew(self, job: str, held: int, *, now: datetime, lease: timedelta) -> bool:
        """Hold on to a job for longer; False where somebody else has taken it over."""
        ...

    async def end(self, job: str, held: int, *, ran_at: datetime | None) -> None:
        """Give a job back; ``ran_at`` is when it ran, None where it did not and is due as before."""
        ...

    async def keep_reported(self, target: str, errored: int | None, *, now: datetime) -> None:
        """Keep the vendor's own total of errored connections, None where it could not be had."""
        ...

    async def prune_snapshots(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` snapshots that ended before this time, the current ones never; return how many."""
        ...

    async def prune_alerts(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` alerts that resolved before this time and as many notices done with; return how many.

        As many incidents that resolved before it are deleted too. An open alert, its incident, its firing notices, and
        a notice that waits are never deleted.
        """
        ...

    async def give_up_unconfigured(
        self, sinks: Collection[str], *, before: datetime, now: datetime, limit: int
    ) -> Mapping[str, int]:
        """Give up up to ``limit`` notices from before this time that wait for none of ``sinks``; count them by sink."""
        ...

    async def prune_counts(self) -> int:
        """Delete counts at zero that nothing needs, and return how many; a label that comes again is counted anew.

        Where there are very many running totals, those of providers that are no longer there move to ``other``.
        """
        ...

    async def count_differences(self) -> Mapping[Key, Recounted]:
        """Count connections, users, alerts and incidents anew, and return where the counts differ from that.

        A running total differs where it is less than the transitions that are stored.
        """
        ...

    async def repair_counts(self, differences: Mapping[Key, Recounted]) -> None:
        """Move the counts by these differences, whatever has moved them meanwhile."""
        ...

    async def prune_transitions(self, before: datetime, *, limit: int, cursor: Cursor | None) -> Pruned:
        """Look at the next ``limit`` transitions before this time, and delete those that are not the last word.

        The latest transition of each connection and of each of its resources stays however old it is, so that
        replaying a user's transitions still gives the current connections, and so does one that no alert decision was
        taken on yet. Running totals stay as they are.
        """
        ...

    async def purge_log(self) -> bool:
        """Remove what was deleted from the database's own log as well, where that is ours to do (SQLite).

        Returns:
            False while another program reads the database, and so the log; it was waited for some seconds.
        """
        ...


class Store(Protocol):
    """One database."""

    @property
    def polls(self) -> Polls:
        """The queue."""
        ...

    @property
    def alerts(self) -> Alerts:
        """The decisions on alerts."""
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
    def upkeep(self) -> Upkeep:
        """What is done now and then by one for all."""
        ...

    @property
    def personal(self) -> PersonalData:
        """The personal data."""
        ...

    @property
    def views(self) -> Views:
        """Questions."""
        ...

    async def aclose(self) -> None:
        """Give every connection back."""
        ...

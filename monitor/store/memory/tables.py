"""What the twin holds: one row for each user with all that is its own, and what users share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.clock_steps import is_ahead, is_due
from monitor.core.judge import NO_DOUBTS, Doubts
from monitor.core.membership import UserOrigin
from monitor.core.model import Intent, Presence
from monitor.ports import LONGEST_RETRY
from monitor.store.memory.counts import Counts
from monitor.store.notices import addressed, of_erased

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any
    from uuid import UUID

    from monitor.core.alerting import Alert
    from monitor.core.budget import Budget
    from monitor.core.incidents import Incident
    from monitor.core.model import Connection, Transition, User
    from monitor.ports import AlertView, IncidentView, PastSnapshot, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One current connection, since when it has its status, and when it was first seen."""

    connection: Connection
    since: datetime
    first_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One user. ``snapshots`` are in the order of their commits; the last one is open, its end moves with the user."""

    key: int
    user: User
    client_user_id: str | None
    registered_at: datetime
    next_poll_at: datetime
    intent: Intent = Intent.ACTIVE
    presence: Presence = Presence.PRESENT
    reason: str | None = None
    created_on: datetime | None = None
    observed_at: datetime | None = None
    missing_since: datetime | None = None
    unlisted_at: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    outcome: str | None = None
    failed_at: datetime | None = None
    doubts: Doubts = NO_DOUBTS
    lease: int | None = None
    leased_until: datetime | None = None
    connections: Mapping[str, Held] = field(default_factory=dict)
    snapshots: tuple[PastSnapshot, ...] = ()

    @property
    def pollable(self) -> bool:
        """Whether the user is asked for at all."""
        return self.intent is Intent.ACTIVE

    def free(self, now: datetime) -> bool:
        """Whether no live lease stands on the user."""
        return self.leased_until is None or self.leased_until <= now

    def is_unleased(self, now: datetime, lease: timedelta) -> bool:
        """Whether no lease that can be in force stands on the user, see :mod:`monitor.core.clock_steps`."""
        return self.leased_until is None or is_due(self.leased_until, now, lease)

    def counts(self) -> Counter[tally.Key]:
        """Count the user and its connections; a removed one counts for nothing."""
        if self.intent is Intent.REMOVED:
            return Counter()
        held = [each.connection for each in self.connections.values()]
        target = self.user.target
        user = tally.of_user(target, self.intent, self.presence, self.failures, self.outcome)
        return tally.of_connections(target, held) + user


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One alert as it is kept, and the user that it is about."""

    key: int
    view: AlertView


@dataclass(slots=True, kw_only=True)
class Waiting:
    """One notice of the outbox and the user that it is about, None for an incident."""

    member: int | None
    sink: str
    event: str
    alert_id: UUID
    state: str
    updates: int
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int = 0
    lease: int | None = None
    leased_until: datetime | None = None
    next_attempt_at: datetime | None = None
    claimed_at: datetime | None = None
    error: str | None = None
    outcome: str | None = None
    written_at: datetime | None = None

    def due(self, now: datetime, lease: timedelta) -> bool:
        """Whether it may be tried: nobody has it in hand, and its next attempt has come."""
        if self.claimed_at is not None and is_ahead(self.claimed_at, now):
            return True
        free = self.leased_until is None or is_due(self.leased_until, now, lease)
        return free and (self.next_attempt_at is None or is_due(self.next_attempt_at, now, LONGEST_RETRY))

    def is_free(self, now: datetime) -> bool:
        """Whether nobody has it in hand."""
        return self.leased_until is None or self.leased_until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """What no alert decision was taken on yet: a transition of a user, else its removal, or its addition again.

    ``set_aside`` says why the entry is left out of evaluations, None where it is not.
    """

    key: int
    at: datetime
    transition: Transition | None = None
    is_added: bool = False
    set_aside: str | None = None

    @property
    def is_removal(self) -> bool:
        """Whether it says that a person removed the user."""
        return self.transition is None and not self.is_added


class Tables:
    """Everything that is stored. Zero counts are kept until they are pruned; keys and leases are never used again."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[int, Row] = {}
        self.keys: dict[User, int] = {}
        self.transitions: dict[UUID, tuple[int, Transition]] = {}
        self.ordinals: dict[UUID, int] = {}
        self.notices: dict[int, Waiting] = {}
        self.histories: dict[int, list[Transition]] = {}
        self.undecided: dict[int, Undecided] = {}
        self.alerts: dict[UUID, Filed] = {}
        self.open: dict[UUID, Alert] = {}
        self.incidents: dict[UUID, IncidentView] = {}
        self.counts = Counts()
        self.budgets: dict[str, Budget] = {}
        self.discovered_at: dict[str, datetime] = {}
        self.erased: set[User] = set()
        """Users that were erased; in plain, as all of it is gone with the process."""
        self.reported: dict[str, tuple[int | None, datetime]] = {}
        self._last = 0

    def number(self) -> int:
        """Return a number that was never given out before."""
        self._last += 1
        return self._last

    def put(self, rows: Iterable[Row]) -> None:
        """Store these rows in place of what they were before."""
        for each in rows:
            self.rows[each.key] = each
            self.keys[each.user] = each.key

    def enqueue(self, told: Iterable[Mapping[str, Any]], sinks: Collection[str]) -> None:
        """Queue each notice (what :class:`Waiting` requires, but its sink) for each sink, in order."""
        for each in told:
            for sink in sinks:
                self.notices[self.number()] = Waiting(**each, sink=sink)

    def enqueue_decided(self, told: Sequence[Mapping[str, Any]], sinks: Collection[str]) -> None:
        """Queue what was decided: a firing for each of ``sinks``, an end for the sinks that have the firing."""
        heard: dict[UUID, list[str]] = {}
        firing = (each for each in self.notices.values() if each.state == AlertState.FIRING)
        for each in sorted(firing, key=lambda notice: notice.sink):
            heard.setdefault(each.alert_id, []).append(each.sink)
        for notice, sink in addressed(told, sinks, heard):
            self.notices[self.number()] = Waiting(**notice, sink=sink)

    def enqueue_ends_of_erased(self, key: int, target: str, erased_at: datetime) -> None:
        """Queue the ends of a user's alerts for the sinks that have their firing but not their end."""
        theirs = [each for each in self.notices.values() if each.member == key]
        ended = {(each.alert_id, each.sink) for each in theirs if each.state == AlertState.RESOLVED and each.written_at}
        heard = {
            (each.alert_id, each.sink): each
            for each in theirs
            if each.state == AlertState.FIRING and (each.written_at is not None or each.lease is not None)
        }
        for (alert_id, sink), each in heard.items():
            if (alert_id, sink) not in ended:
                self.enqueue([of_erased(alert_id, target, each.payload, each.updates, erased_at)], [sink])

    @property
    def open_incidents(self) -> set[UUID]:
        """Incidents that are open now."""
        views = self.incidents.items()
        return {each_id for each_id, each in views if each.incident.state is AlertState.FIRING}

    def firing(self) -> list[tuple[Place, UUID]]:
        """Return the alerts that fire now, each with its place."""
        return [
            ((self.keys[each.user], each.slot.provider, each.slot.resource), each.id)
            for each in self.open.values()
            if each.state is AlertState.FIRING
        ]

    def firing_ids(self) -> set[UUID]:
        """Return alerts and incidents that fire now."""
        return {each_id for _, each_id in self.firing()} | self.open_incidents

    def record(self, key: int, transition: Transition) -> None:
        """Keep a transition of a user, and let alert decisions be taken on it; the same one is kept once."""
        if transition.id in self.transitions:
            return
        self.transitions[transition.id] = (key, transition)
        self.ordinals[transition.id] = self.number()
        self.histories.setdefault(key, []).append(transition)
        if not transition.baseline or self.origin(key).makes_news(transition):
            self.queue(Undecided(key=key, at=transition.observed_at, transition=transition))

    def queue(self, entry: Undecided) -> None:
        """Let an alert decision be taken on an entry."""
        self.undecided[self.number()] = entry

    def origin(self, key: int) -> UserOrigin:
        """Return when and how a user came into the cohort."""
        row = self.rows[key]
        return UserOrigin(
            registered_at=row.registered_at,
            created_on=row.created_on,
            discovered_at=self.discovered_at.get(row.user.target),
        )

    def is_observed(self, entry: Undecided) -> bool:
        """Return whether a user that was added again has been observed since; so has any other."""
        observed_at = self.rows[entry.key].observed_at
        return not entry.is_added or (observed_at is not None and observed_at >= entry.at)

    def is_decidable(self, entry: Undecided, now: datetime) -> bool:
        """Return whether an entry can be decided on; see the same condition on the SQL tables."""
        is_from_ahead = is_ahead(entry.at, now) and self.rows[entry.key].observed_at is not None
        return self.is_observed(entry) or is_from_ahead

    def waiting(self) -> frozenset[UUID]:
        """Return the transitions that no alert decision was taken on yet."""
        return frozenset(each.transition.id for each in self.undecided.values() if each.transition)

    def forget(self, transition_id: UUID) -> None:
        """Drop a transition that was pruned."""
        key, _ = self.transitions.pop(transition_id)
        self.histories[key] = [each for each in self.histories[key] if each.id != transition_id]

    def file(self, key: int, view: AlertView) -> None:
        """Keep an alert as it is after a decision."""
        self.alerts[view.alert.id] = Filed(key=key, view=view)
        self.open.pop(view.alert.id, None)
        if view.alert.is_open:
            self.open[view.alert.id] = view.alert

    def counted(self, incident: Incident) -> Incident:
        """Return an incident with the figures of its members as they are now."""
        members = [each for each in self.alerts.values() if each.view.alert.incident_id == incident.id]
        users = max(incident.users, len({each.key for each in members}))
        connections = sum(
            amount
            for key, amount in self.counts.items()
            if (key.target, key.count, key.a) == (incident.key.target, tally.Count.CONNECTIONS, incident.key.provider)
        )
        return replace(
            incident,
            users=users,
            share=min(1.0, users / connections) if connections else incident.share,
            broken=sum(each.view.alert.is_open for each in members),
            joined_at=max((each.view.alert.confirmed_at for each in members), default=incident.opened_at),
        )

    def erase(self, key: int) -> None:
        """Drop all that is kept of a user beside its row."""
        for each in self.histories.pop(key, ()):
            del self.transitions[each.id]
        for each_id in [each_id for each_id, filed in self.alerts.items() if filed.key == key]:
            del self.alerts[each_id]
            self.open.pop(each_id, None)
        for number in [number for number, each in self.undecided.items() if each.key == key]:
            del self.undecided[number]
        for number in [number for number, notice in self.notices.items() if notice.member == key]:
            del self.notices[number]

    def of_target(self, target: str) -> list[Row]:
        """Return the rows of a target, removed ones included, in the order of their registration."""
        return [each for each in self.rows.values() if each.user.target == target]

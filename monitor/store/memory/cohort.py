"""Who is watched."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.judge import NO_DOUBTS
from monitor.core.model import Intent, Presence, User
from monitor.ports import Member, Registered
from monitor.store.memory.tables import Row, Undecided
from monitor.store.words import storable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.ports import Hide, ListedUser
    from monitor.store.memory.tables import Tables


class MemoryCohort:
    """The cohort of one store."""

    def __init__(self, tables: Tables, client_user_id: Hide = str) -> None:
        self._tables = tables
        self._client_user_id = client_user_id

    async def register(self, target: str, users: Iterable[ListedUser], *, now: datetime, revive: bool) -> Registered:
        """Register users; new ones and those that are back are due at once."""
        came: Counter[str] = Counter()
        for each in sorted(users, key=lambda listed: listed.user_id):
            user = User(target=target, user_id=each.user_id)
            row = self._tables.rows.get(self._tables.keys.get(user, 0))
            name = each.client_user_id
            client_user_id = None if name is None else storable(self._client_user_id(name))
            if row is None and user in self._tables.erased and not revive:
                continue
            if row is None:
                self._tables.erased.discard(user)
                came["added"] += 1
                self._add(user, client_user_id, None if revive else each.created_on, now)
                continue
            back = revive and row.intent is Intent.REMOVED
            came["returned" if back else "known"] += 1
            named = replace(row, client_user_id=row.client_user_id if client_user_id is None else client_user_id)
            self._replace(row, _resumed(named, now) if back else named)
            if back:
                self._tables.queue(Undecided(key=row.key, at=now, is_added=True))
        return Registered(added=came["added"], returned=came["returned"], known=came["known"])

    async def set_intent(
        self, target: str, user_ids: Sequence[UUID] | None, intent: Intent, *, now: datetime
    ) -> frozenset[UUID]:
        """Pause, resume (ACTIVE) or remove users (None: all), and return those that it concerned."""
        wanted = None if user_ids is None else frozenset(user_ids)
        concerned = [
            each
            for each in self._tables.of_target(target)
            if (wanted is None or each.user.user_id in wanted) and _is_open(each, intent)
        ]
        for each in concerned:
            self._decide(each, intent, now)
        return frozenset(each.user.user_id for each in concerned)

    async def erase(self, target: str, user_id: UUID, *, now: datetime) -> bool:
        """Delete every trace of a user, and adjust the counts; running totals stay."""
        key = self._tables.keys.pop(User(target=target, user_id=user_id), None)
        if key is None:
            return False
        row = self._tables.rows.pop(key)
        self._tables.counts.subtract(row.counts())
        firing = (each.view.alert for each in self._tables.alerts.values() if each.key == key)
        self._tables.counts.subtract(tally.of_alerts(each for each in firing if each.state is AlertState.FIRING))
        self._tables.enqueue_ends_of_erased(key, target, now)
        self._tables.erase(key)
        self._tables.erased.add(row.user)
        return True

    async def note_discovery(self, target: str, now: datetime) -> None:
        """Note when the target's user list was first read whole."""
        self._tables.discovered_at.setdefault(target, now)

    async def note_list(self, target: str, listed: frozenset[UUID], started_at: datetime) -> None:
        """Note which users that answer 404 a complete list names, and which it does not; see the port."""
        rows = self._tables.of_target(target)
        if not any(each.user.user_id in listed for each in rows):
            return
        missing = [each for each in rows if each.missing_since is not None]
        self._tables.put(
            replace(each, unlisted_at=None if each.user.user_id in listed else started_at) for each in missing
        )

    async def members(self, target: str | None, *, include_removed: bool = False) -> AsyncIterator[Member]:
        """Yield the members ordered by target and user id."""
        rows = (each for each in self._tables.rows.values() if target is None or each.user.target == target)
        for each in sorted(rows, key=lambda row: (row.user.target, row.user.user_id)):
            if include_removed or each.intent is not Intent.REMOVED:
                yield _member(each)

    async def member(self, target: str, user_id: UUID) -> Member | None:
        """Return one member, removed ones included."""
        key = self._tables.keys.get(User(target=target, user_id=user_id))
        return None if key is None else _member(self._tables.rows[key])

    def _add(self, user: User, client_user_id: str | None, created_on: datetime | None, now: datetime) -> None:
        row = Row(
            key=self._tables.number(),
            user=user,
            client_user_id=client_user_id,
            created_on=created_on,
            registered_at=now,
            next_poll_at=now,
        )
        self._tables.put([row])
        self._tables.counts.update(row.counts())

    def _replace(self, before: Row, after: Row) -> None:
        self._tables.put([after])
        self._tables.counts.update(tally.difference(before.counts(), after.counts()))

    def _decide(self, row: Row, intent: Intent, now: datetime) -> None:
        if intent is Intent.ACTIVE:
            self._replace(row, _resumed(row, now))
        elif intent is Intent.PAUSED:
            self._replace(row, replace(row, intent=intent, lease=None, leased_until=None))
        elif row.intent is not Intent.REMOVED:
            self._remove(row, now)

    def _remove(self, row: Row, now: datetime) -> None:
        self._replace(row, replace(row, intent=Intent.REMOVED, lease=None, leased_until=None))
        self._forget_addition(row.key)
        self._tables.queue(Undecided(key=row.key, at=now))

    def _forget_addition(self, key: int) -> None:
        """Drop that a user was added again: who is removed has no alert that could begin again."""
        theirs = [number for number, each in self._tables.undecided.items() if each.key == key and each.is_added]
        for number in theirs:
            del self._tables.undecided[number]


def _is_open(row: Row, intent: Intent) -> bool:
    """Only removing has something to say to a removed user: that it is done."""
    return intent is Intent.REMOVED or row.intent is not Intent.REMOVED


def _resumed(row: Row, now: datetime) -> Row:
    awake = replace(row, intent=Intent.ACTIVE, next_poll_at=now, lease=None, leased_until=None)
    if row.presence is not Presence.INVALID:
        return awake
    return replace(awake, presence=Presence.PRESENT, reason=None, outcome=None, failed_at=None, doubts=NO_DOUBTS)


def _member(row: Row) -> Member:
    return Member(
        target=row.user.target,
        user_id=row.user.user_id,
        client_user_id=row.client_user_id,
        intent=row.intent,
        presence=row.presence,
        reason=row.reason,
        registered_at=row.registered_at,
        observed_at=row.observed_at,
        next_poll_at=row.next_poll_at,
        failures=row.failures,
        outcome=row.outcome,
        failed_at=row.failed_at,
        doubts=row.doubts,
    )

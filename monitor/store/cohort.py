"""Who is watched."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, insert, select, update

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.model import Intent, Presence
from monitor.ports import Member, Registered
from monitor.store import erasure, registration, rows
from monitor.store.conflicts import retry_conflicts
from monitor.store.counting import TargetIds, move, of_members
from monitor.store.notices import enqueue_ends_of_erased
from monitor.store.paging import Pages
from monitor.store.tables import ADDED, alerts, connections, snapshots, targets, transitions, undecided, users
from monitor.store.tables import outbox as notices
from monitor.store.words import storable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.ports import Hide, ListedUser
    from monitor.store.engine import Database
    from monitor.store.rows import Record

PAGE: Final = 2000
MEMBER: Final = (
    users.c.user_id,
    users.c.client_user_id,
    users.c.intent,
    users.c.presence,
    users.c.reason,
    users.c.registered_at,
    users.c.observed_at,
    users.c.next_poll_at,
    users.c.failures,
    users.c.outcome,
    users.c.failed_at,
    users.c.doubts,
    targets.c.name.label("target"),
)


class SqlCohort:
    """The cohort in SQL."""

    def __init__(self, database: Database, target_ids: TargetIds, client_user_id: Hide = str) -> None:
        self._database = database
        self._target_ids = target_ids
        self._client_user_id = client_user_id
        self._pages = Pages(database, target_ids)

    async def register(self, target: str, users: Iterable[ListedUser], *, now: datetime, revive: bool) -> Registered:
        """Register users; new ones and those that are back are due at once."""
        return await self._register(target, list(users), now=now, revive=revive)

    @retry_conflicts
    async def _register(self, target: str, listed: Sequence[ListedUser], *, now: datetime, revive: bool) -> Registered:
        named = registration.named(listed).items()
        created = {} if revive else {each.user_id: each.created_on for each in listed}
        wanted = {each: None if name is None else storable(self._client_user_id(name)) for each, name in named}
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            known = await registration.known(connection, target_id, wanted)
            new = {each: name for each, name in wanted.items() if each not in known}
            if revive:
                await erasure.forget(connection, target_id, new)
            # Asked after the known ones: whoever is erased in between is in neither.
            erased = frozenset() if revive else await erasure.erased_among(connection, target_id, new)
            new = {each: name for each, name in new.items() if each not in erased}
            added = await registration.enrol(connection, target_id, new, created, now)
            back = await registration.renew(connection, known.values(), wanted, now, revive=revive)
            await self._queue_added(connection, back, now)
            counts = await of_members(connection, target, back, watched=True)
            counts.update(_users(target, Intent.ACTIVE, Presence.PRESENT, added))
            await self._move(connection, counts)
        left_out = sum(each.user_id in erased for each in listed)
        return Registered(added=added, returned=len(back), known=len(listed) - added - len(back) - left_out)

    async def set_intent(
        self, target: str, user_ids: Sequence[UUID] | None, intent: Intent, *, now: datetime
    ) -> frozenset[UUID]:
        """Pause, resume (ACTIVE) or remove users (None: all), and return those that it concerned."""
        concerned: set[UUID] = set()
        if user_ids is not None:
            for start in range(0, len(user_ids), PAGE):
                named = user_ids[start : start + PAGE]
                concerned |= {row.user_id for row in await self._decide(target, named, 0, intent, now)}
            return frozenset(concerned)
        after = 0
        while page := await self._decide(target, None, after, intent, now):
            concerned |= {row.user_id for row in page}
            after = max(row.id for row in page)
        return frozenset(concerned)

    @retry_conflicts
    async def erase(self, target: str, user_id: UUID, *, now: datetime) -> bool:
        """Delete every trace of a user but a salted hash, and adjust the counts; running totals stay."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            ours = and_(users.c.target_id == target_id, users.c.user_id == user_id)
            asked = select(*registration.OWN).where(ours).with_for_update()
            row = (await connection.execute(asked)).one_or_none()
            if target_id is None or row is None:
                return False
            counts = await of_members(connection, target, [row], watched=row.intent != Intent.REMOVED)
            counts.update(await _end_alerts(connection, target, row.id))
            await enqueue_ends_of_erased(connection, row.id, target, now)
            for table in (notices, undecided, transitions, snapshots, connections):
                await connection.execute(delete(table).where(table.c.member == row.id))
            await connection.execute(delete(users).where(users.c.id == row.id))
            await erasure.remember(connection, target_id, user_id)
            counts = type(counts)({key: -amount for key, amount in counts.items()})
            await self._move(connection, counts)
        return True

    async def note_discovery(self, target: str, now: datetime) -> None:
        """Note when the target's user list was first read whole."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            first = update(targets).where(targets.c.id == target_id, targets.c.discovered_at.is_(None))
            await connection.execute(first.values(discovered_at=now))

    async def note_list(self, target: str, listed: frozenset[UUID], started_at: datetime) -> None:
        """Note which users that answer 404 a complete list names, and which it does not; see the port."""
        if not await self._names_members(target, listed):
            return
        after: int | None = 0
        while after is not None:
            after = await self._note_page(target, listed, started_at, after)

    async def members(self, target: str | None, *, include_removed: bool = False) -> AsyncIterator[Member]:
        """Yield the members ordered by target and user id, a page at a time."""
        asked = select(*MEMBER).join(targets)
        if not include_removed:
            asked = asked.where(users.c.intent != Intent.REMOVED)
        async for target_id in self._pages.target_ids(target):
            async for row in self._pages.of(asked.where(users.c.target_id == target_id), (users.c.user_id,)):
                yield _member(row)

    async def member(self, target: str, user_id: UUID) -> Member | None:
        """Return one member, removed ones included."""
        asked = select(*MEMBER).join(targets).where(targets.c.name == target, users.c.user_id == user_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(asked)).one_or_none()
        return None if row is None else _member(row)

    async def _names_members(self, target: str, listed: frozenset[UUID]) -> bool:
        ordered = list(listed)
        async with self._database.reading() as connection:
            target_id = await self._target_ids.found(connection, target)
            for start in range(0, len(ordered), PAGE):
                named = rows.among(users.c.user_id, ordered[start : start + PAGE], connection.dialect)
                asked = select(users.c.id).where(users.c.target_id == target_id, named).limit(1)
                if (await connection.execute(asked)).scalar() is not None:
                    return True
        return False

    async def _note_page(self, target: str, listed: frozenset[UUID], started_at: datetime, after: int) -> int | None:
        """Write what the list says of some users that answer 404, and return where the next page begins."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            missing = and_(users.c.target_id == target_id, users.c.missing_since.is_not(None), users.c.id > after)
            page = select(users.c.id, users.c.user_id).where(missing).order_by(users.c.id).limit(PAGE)
            found = (await connection.execute(page.with_for_update())).all()
            for named, at in ((True, None), (False, started_at)):
                keys = [each.id for each in found if (each.user_id in listed) is named]
                theirs = rows.among(users.c.id, keys, connection.dialect)
                await connection.execute(update(users).where(theirs).values(unlisted_at=at))
        return found[-1].id if len(found) == PAGE else None

    async def _queue_added(self, connection: AsyncConnection, back: Sequence[Record], now: datetime) -> None:
        """Let it be decided, once they are observed, which of their alerts begin again."""
        if back:
            added = [{"member": each.id, "at": now, "kind": ADDED} for each in back]
            await connection.execute(insert(undecided), added)

    @retry_conflicts
    async def _decide(
        self, target: str, user_ids: Sequence[UUID] | None, after: int, intent: Intent, now: datetime
    ) -> Sequence[Record]:
        """Set the intent of a page of users, and return them."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            wanted = and_(users.c.target_id == target_id, users.c.id > after)
            if user_ids is not None:
                wanted = and_(wanted, rows.among(users.c.user_id, user_ids, connection.dialect))
            if intent is not Intent.REMOVED:
                wanted = and_(wanted, users.c.intent != Intent.REMOVED)
            page = select(*registration.OWN).where(wanted).order_by(users.c.id).limit(PAGE).with_for_update()
            found = (await connection.execute(page)).all()
            if intent is Intent.REMOVED:
                await self._remove(connection, target, [each for each in found if each.intent != intent], now)
            elif found:
                await self._pause_or_resume(connection, target, found, intent, now)
            return found

    async def _pause_or_resume(
        self, connection: AsyncConnection, target: str, found: Sequence[Record], intent: Intent, now: datetime
    ) -> None:
        theirs = rows.among(users.c.id, [each.id for each in found], connection.dialect)
        ended = {"intent": intent.value, "lease": None, "leased_until": None}
        if intent is Intent.ACTIVE:
            ended["next_poll_at"] = now  # type: ignore[assignment]
            cured = and_(theirs, users.c.presence == Presence.INVALID)
            await connection.execute(update(users).where(cured).values(registration.CURED))
        await connection.execute(update(users).where(theirs).values(ended))
        counts: Counter[tally.Key] = _users(target, intent, Presence.PRESENT, 0)
        for each in found:
            presence = Presence(each.presence)
            after = Presence.PRESENT if intent is Intent.ACTIVE and presence is Presence.INVALID else presence
            counts.subtract(tally.of_user(target, Intent(each.intent), presence, each.failures, each.outcome))
            counts.update(tally.of_user(target, intent, after, each.failures, each.outcome))
        await self._move(connection, counts)

    async def _remove(self, connection: AsyncConnection, target: str, found: Sequence[Record], now: datetime) -> None:
        if not found:
            return
        keys = [each.id for each in found]
        counts = await of_members(connection, target, found, watched=True)
        counts = type(counts)({key: -amount for key, amount in counts.items()})
        ended = {"intent": Intent.REMOVED.value, "lease": None, "leased_until": None}
        await connection.execute(update(users).where(rows.among(users.c.id, keys, connection.dialect)).values(ended))
        # Their alerts are ended by whoever decides on alerts, in the order of what was seen of them before.
        await connection.execute(insert(undecided), [{"member": key, "transition_id": None, "at": now} for key in keys])
        # Who is removed has no alert that could begin again.
        readded = and_(rows.among(undecided.c.member, keys, connection.dialect), undecided.c.kind == ADDED)
        await connection.execute(delete(undecided).where(readded))
        await self._move(connection, counts)

    async def _move(self, connection: AsyncConnection, counts: Counter[tally.Key]) -> None:
        await move(connection, counts, await self._target_ids.refresh(connection))


async def _end_alerts(connection: AsyncConnection, target: str, key: int) -> Counter[tally.Key]:
    """Delete a user's alerts, and return what they added to the counts: as deleted, an incident may make them quiet."""
    ended = delete(alerts).where(alerts.c.member == key)
    found = await connection.execute(ended.returning(alerts.c.provider, alerts.c.severity, alerts.c.state))
    firing = [each for each in found if each.state == AlertState.FIRING]
    return Counter(tally.Key(target, tally.Count.ALERTS, each.provider, each.severity) for each in firing)


def _users(target: str, intent: Intent, presence: Presence, count: int) -> Counter[tally.Key]:
    one = tally.of_user(target, intent, presence)
    return type(one)({key: amount * count for key, amount in one.items()})


def _member(row: Record) -> Member:
    return Member(
        target=row.target,
        user_id=row.user_id,
        client_user_id=row.client_user_id,
        intent=Intent(row.intent),
        presence=Presence(row.presence),
        reason=row.reason,
        registered_at=row.registered_at,
        observed_at=row.observed_at,
        next_poll_at=row.next_poll_at,
        failures=row.failures,
        outcome=row.outcome,
        failed_at=row.failed_at,
        doubts=rows.doubts(row),
    )

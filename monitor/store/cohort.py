"""Who is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, select, tuple_, update

from monitor.core import tally
from monitor.core.alerting import withdraw
from monitor.core.model import Intent, Presence
from monitor.ports import Member, Registered
from monitor.store import rows
from monitor.store.batch import write_decisions
from monitor.store.counting import TargetIds, move, upsert
from monitor.store.tables import alerts, connections, snapshots, targets, transitions, users
from monitor.store.tables import outbox as notices
from monitor.store.words import storable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.ports import ListedUser
    from monitor.store.engine import Database
    from monitor.store.rows import Record

REMOVED: Final = "the user was removed from the cohort"
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
    targets.c.name.label("target"),
)


class SqlCohort:
    """The cohort in SQL."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._target_ids = target_ids

    async def register(self, target: str, users: Iterable[ListedUser], *, now: datetime, revive: bool) -> Registered:
        """Register users; new ones and those that are back are due at once."""
        listed = list(users)
        wanted = {each.user_id: storable(each.client_user_id) for each in listed}
        # A later line without a client id does not undo an earlier one with it.
        wanted |= {each.user_id: storable(each.client_user_id) for each in listed if each.client_user_id is not None}
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            known = await self._members(connection, target_id, list(wanted))
            new = [each for each in wanted if each not in known]
            await _insert(connection, target_id, {each: wanted[each] for each in new}, now)
            await _rename(connection, {known[each].id: name for each, name in wanted.items() if name and each in known})
            back = [row for row in known.values() if revive and row.intent == Intent.REMOVED]
            await self._bring_back(connection, target, back, now)
            counts = _users(target, Intent.ACTIVE, Presence.PRESENT, len(new))
            await self._move(connection, counts)
        return Registered(added=len(new), returned=len(back), known=len(listed) - len(new) - len(back))

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

    async def erase(self, target: str, user_id: UUID, *, now: datetime) -> bool:
        """Delete every trace of a user, and adjust the counts; running totals stay."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            found = await self._members(connection, target_id or 0, [user_id], lock=True)
            if not found:
                return False
            row = found[user_id]
            counts = await _counted(connection, target, [row], watched=row.intent != Intent.REMOVED)
            firing = await _firing(connection, [row.id])
            counts.subtract(tally.of_decisions(withdraw([each for _, each in firing], now, REMOVED)))
            for table in (notices, alerts, transitions, snapshots, connections):
                await connection.execute(delete(table).where(table.c.member == row.id))
            await connection.execute(delete(users).where(users.c.id == row.id))
            counts = type(counts)({key: -amount for key, amount in counts.items()})
            await self._move(connection, counts)
        await self._database.checkpoint()
        return True

    async def members(self, target: str | None, *, include_removed: bool = False) -> AsyncIterator[Member]:
        """Yield the members ordered by target and user id, a page at a time."""
        asked = select(*MEMBER).join(targets).order_by(targets.c.name, users.c.user_id).limit(PAGE)
        if target is not None:
            asked = asked.where(targets.c.name == target)
        if not include_removed:
            asked = asked.where(users.c.intent != Intent.REMOVED)
        last: tuple[str, UUID] | None = None
        while True:
            page = asked if last is None else asked.where(tuple_(targets.c.name, users.c.user_id) > last)
            async with self._database.reading() as connection:
                found = (await connection.execute(page)).all()
            for row in found:
                yield _member(row)
            if len(found) < PAGE:
                return
            last = (found[-1].target, found[-1].user_id)

    async def member(self, target: str, user_id: UUID) -> Member | None:
        """Return one member, removed ones included."""
        asked = select(*MEMBER).join(targets).where(targets.c.name == target, users.c.user_id == user_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(asked)).one_or_none()
        return None if row is None else _member(row)

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
            page = select(*_OWN).where(wanted).order_by(users.c.id).limit(PAGE).with_for_update()
            found = (await connection.execute(page)).all()
            if found and intent is Intent.REMOVED:
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
            await connection.execute(update(users).where(cured).values(presence=Presence.PRESENT.value, reason=None))
        await connection.execute(update(users).where(theirs).values(ended))
        counts: Counter[tally.Key] = _users(target, intent, Presence.PRESENT, 0)
        for each in found:
            presence = Presence(each.presence)
            after = Presence.PRESENT if intent is Intent.ACTIVE and presence is Presence.INVALID else presence
            counts.subtract(tally.of_user(target, Intent(each.intent), presence))
            counts.update(tally.of_user(target, intent, after))
        await self._move(connection, counts)

    async def _remove(self, connection: AsyncConnection, target: str, found: Sequence[Record], now: datetime) -> None:
        keys = [each.id for each in found]
        counts = await _counted(connection, target, found, watched=True)
        firing = await _firing(connection, keys)
        decisions = [(key, each) for key, alert in firing for each in withdraw([alert], now, REMOVED)]
        counts = type(counts)({key: -amount for key, amount in counts.items()})
        counts.update(tally.of_decisions(each for _, each in decisions))
        ended = {"intent": Intent.REMOVED.value, "lease": None, "leased_until": None}
        await connection.execute(update(users).where(rows.among(users.c.id, keys, connection.dialect)).values(ended))
        await write_decisions(connection, decisions)
        await self._move(connection, counts)

    async def _bring_back(
        self, connection: AsyncConnection, target: str, found: Sequence[Record], now: datetime
    ) -> None:
        if not found:
            return
        theirs = rows.among(users.c.id, [each.id for each in found], connection.dialect)
        awake = {"intent": Intent.ACTIVE.value, "next_poll_at": now}
        await connection.execute(update(users).where(theirs).values(awake))
        await self._move(connection, await _counted(connection, target, found, watched=True))

    async def _members(
        self, connection: AsyncConnection, target_id: int, user_ids: Sequence[UUID], *, lock: bool = False
    ) -> dict[UUID, Record]:
        named = rows.among(users.c.user_id, user_ids, connection.dialect)
        asked = select(*_OWN).where(users.c.target_id == target_id, named)
        found = await connection.execute(asked.with_for_update() if lock else asked)
        return {row.user_id: row for row in found}

    async def _move(self, connection: AsyncConnection, counts: Counter[tally.Key]) -> None:
        await move(connection, counts, await self._target_ids.refresh(connection))


_OWN: Final = (users.c.id, users.c.user_id, users.c.intent, users.c.presence)


async def _insert(connection: AsyncConnection, target_id: int, wanted: dict[UUID, str | None], now: datetime) -> None:
    if not wanted:
        return
    fixed = {"target_id": target_id, "intent": Intent.ACTIVE.value, "presence": Presence.PRESENT.value, "failures": 0}
    due = {"registered_at": now, "next_poll_at": now}
    await connection.execute(
        upsert(users, connection.dialect).on_conflict_do_nothing(),
        [fixed | due | {"user_id": each, "client_user_id": name} for each, name in wanted.items()],
    )


async def _rename(connection: AsyncConnection, names: dict[int, str]) -> None:
    if names:
        renamed = update(users).where(users.c.id == bindparam("key")).values(client_user_id=bindparam("name"))
        await connection.execute(renamed, [{"key": key, "name": name} for key, name in names.items()])


async def _counted(
    connection: AsyncConnection, target: str, found: Sequence[Record], *, watched: bool
) -> Counter[tally.Key]:
    """Return what these users and their connections add to the counts; nothing where they are not ``watched``."""
    counts: Counter[tally.Key] = _users(target, Intent.ACTIVE, Presence.PRESENT, 0)
    if not watched or not found:
        return counts
    for each in found:
        intent = Intent.ACTIVE if each.intent == Intent.REMOVED else Intent(each.intent)
        counts.update(tally.of_user(target, intent, Presence(each.presence)))
    theirs = rows.among(connections.c.member, [each.id for each in found], connection.dialect)
    held = await connection.execute(select(connections).where(theirs))
    counts.update(tally.of_connections(target, (rows.connection(row) for row in held)))
    return counts


async def _firing(connection: AsyncConnection, keys: Sequence[int]) -> list[tuple[int, Any]]:
    asked = (
        select(alerts, users.c.user_id, targets.c.name.label("target"))
        .select_from(alerts.join(users).join(targets))
        .where(alerts.c.state == "firing", rows.among(alerts.c.member, keys, connection.dialect))
        .order_by(alerts.c.member, alerts.c.provider)
    )
    return [(row.member, rows.alert(row)) for row in await connection.execute(asked)]


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
    )

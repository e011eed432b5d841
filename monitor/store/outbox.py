"""What was decided and is to be told: a queue for each sink, in SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, exists, func, or_, select, text, update

from monitor.ports import LONGEST_RETRY, Firing, Notice
from monitor.store import rows, standing
from monitor.store.conflicts import retry_conflicts
from monitor.store.due import has_come, is_ahead, is_too_far_ahead, is_unleased
from monitor.store.leases import FREE, lent
from monitor.store.tables import SENT, WAITING_INCIDENT, outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.alerting import AlertState
    from monitor.ports import Done, Place
    from monitor.store.engine import Database
    from monitor.store.rows import Record

MINUTE: Final = timedelta(minutes=1)
_EARLIER = outbox.alias("earlier")
_HELD_BACK = exists().where(
    _EARLIER.c.alert_id == outbox.c.alert_id,
    _EARLIER.c.sink == outbox.c.sink,
    _EARLIER.c.written_at.is_(None),
    _EARLIER.c.id < outbox.c.id,
)


class SqlOutbox:
    """The outbox in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_conflicts
    async def claim(
        self, sink: str, *, limit: int, now: datetime, lease: timedelta, incidents_only: bool = False
    ) -> list[Notice]:
        """Take notices that wait for a sink and are due, oldest first, under a lease; see the port."""
        again, new = has_come(outbox.c.next_attempt_at, now), outbox.c.next_attempt_at.is_(None)
        only = [text(WAITING_INCIDENT)] if incidents_only else []
        async with self._database.writing() as connection:
            half = (limit + 1) // 2
            found = await self._take(connection, sink, half, now, lease, again, *only)
            if len(found) < half:  # asked apart: an index serves each of them alone
                from_ahead = _is_from_ahead(now)
                found += await self._take(connection, sink, half - len(found), now, lease, from_ahead, *only)
            found += await self._take(connection, sink, limit - len(found), now, lease, new, *only)
        return sorted(map(_notice, found), key=lambda each: each.id)

    async def _take(
        self, connection: AsyncConnection, sink: str, limit: int, now: datetime, lease: timedelta, *which: Any
    ) -> list[Record]:
        waiting = (
            select(outbox.c.id)
            .where(outbox.c.sink == sink, outbox.c.written_at.is_(None), _is_free(now, lease), ~_HELD_BACK, *which)
            .order_by(outbox.c.next_attempt_at, outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=outbox)
        )
        lent_now = lent(now, lease) | {"claimed_at": now}
        taken = (
            update(outbox).where(rows.once(outbox.c.id, waiting, self._database.dialect)).values(lent_now)
        ).returning(outbox)
        return list((await connection.execute(taken)).all())

    async def settle(self, notices: Sequence[Notice], done: Done, *, now: datetime) -> None:
        """Be done with notices that are still held under their lease; others stay as they are."""
        settled = {"outcome": done.value, "written_at": now, "error": None} | FREE
        await self._update(notices, settled, self._in_hand_of(notices), outbox.c.written_at.is_(None))

    async def retry(self, notices: Sequence[Notice], error: str | None, *, at: datetime) -> None:
        """Give back notices that were tried in vain: they are due again ``at``, and one attempt more was made."""
        if not notices:
            return
        alert_ids = rows.among(outbox.c.alert_id, [each.alert_id for each in notices], self._database.dialect)
        ours = and_(self._are(notices), self._in_hand_of(notices))
        tried = update(outbox).where(ours, outbox.c.written_at.is_(None))
        # What they hold back waits as long, so that no claim has to look at it in vain before.
        held_back = update(outbox).where(alert_ids, outbox.c.written_at.is_(None), outbox.c.lease.is_(None), _HELD_BACK)
        async with self._database.writing() as connection:
            await connection.execute(
                tried.values(FREE | {"attempts": outbox.c.attempts + 1, "error": error, "next_attempt_at": at})
            )
            await connection.execute(held_back.values(next_attempt_at=at))

    async def release(self, notices: Sequence[Notice]) -> None:
        """Give back notices that were not tried; they wait as before."""
        await self._update(notices, FREE, self._in_hand_of(notices))

    async def undelivered(self) -> Mapping[str, int]:
        """Return how many notices wait, by sink."""
        waiting = (
            select(outbox.c.sink, func.count().label("waiting"))
            .where(outbox.c.written_at.is_(None))
            .group_by(outbox.c.sink)
        )
        async with self._database.reading() as connection:
            return {each.sink: each.waiting for each in (await connection.execute(waiting)).all()}

    async def sent_since(self, sink: str, since: datetime) -> int:
        """Return how many notices a sink other than the log was told one by one in the minute from ``since`` on."""
        is_in_minute = outbox.c.written_at.between(since, since + MINUTE)
        sent = select(func.count()).select_from(outbox).where(text(SENT), outbox.c.sink == sink, is_in_minute)
        async with self._database.reading() as connection:
            return (await connection.execute(sent)).scalar_one()

    async def firing(self, sink: str, *, limit: int, after: Place | None = None) -> Firing:
        """Return the next ``limit`` alerts that fire now and that a sink is done with being told of."""
        async with self._database.reading() as connection:
            return await standing.firing(connection, sink, limit, after)

    async def told(self, sink: str, alert_ids: Collection[UUID], state: AlertState) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what a sink was last told, or given up to be told, of these alerts in this state, where it was."""
        if not alert_ids:
            return {}
        named = rows.among(outbox.c.alert_id, alert_ids, self._database.dialect)
        async with self._database.reading() as connection:
            return await standing.told(connection, sink, named, state)

    def _are(self, notices: Sequence[Notice]) -> ColumnElement[bool]:
        return rows.among(outbox.c.id, [each.id for each in notices], self._database.dialect)

    def _in_hand_of(self, notices: Sequence[Notice]) -> ColumnElement[bool]:
        return rows.among(outbox.c.lease, list({each.lease for each in notices}), self._database.dialect)

    @retry_conflicts
    async def _update(self, notices: Sequence[Notice], values: Any, *conditions: ColumnElement[bool]) -> None:
        if not notices:
            return
        async with self._database.writing() as connection:
            await connection.execute(update(outbox).where(self._are(notices), *conditions).values(values))


def _is_free(now: datetime, lease: timedelta) -> ColumnElement[bool]:
    return or_(is_unleased(outbox, now, lease), is_ahead(outbox.c.claimed_at, now))


def _is_from_ahead(now: datetime) -> ColumnElement[bool]:
    """Return the condition that the next attempt is not due, only because a clock that was ahead wrote its time."""
    at = outbox.c.next_attempt_at
    return and_(at > now, or_(is_ahead(outbox.c.claimed_at, now), is_too_far_ahead(at, now, LONGEST_RETRY)))


def _notice(row: Record) -> Notice:
    return Notice(
        id=row.id,
        lease=row.lease,
        event=row.event,
        alert_id=row.alert_id,
        state=row.state,
        updates=row.updates,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
    )

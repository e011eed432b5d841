"""What was decided and is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from monitor.ports import Notice
from monitor.store import rows
from monitor.store.leases import FREE, free, lent
from monitor.store.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta

    from monitor.store.engine import Database
    from monitor.store.rows import Record


class SqlOutbox:
    """The outbox in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, *, limit: int, now: datetime, lease: timedelta) -> list[Notice]:
        """Take the oldest notices that are not marked as written, under a lease."""
        waiting = (
            select(outbox.c.id)
            .where(outbox.c.written_at.is_(None), free(outbox, now))
            .order_by(outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = (
            update(outbox)
            .where(rows.once(outbox.c.id, waiting, self._database.dialect))
            .values(lent(now, lease))
            .returning(outbox.c.id, outbox.c.lease, outbox.c.payload)
        )
        async with self._database.writing() as connection:
            found = (await connection.execute(taken)).all()
        return [Notice(id=each.id, lease=each.lease, payload=each.payload) for each in sorted(found, key=_id)]

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Mark notices as written, after the line was flushed."""
        if not ids:
            return
        told = rows.among(outbox.c.id, ids, self._database.dialect)
        async with self._database.writing() as connection:
            await connection.execute(update(outbox).where(told).values(written_at=now))

    async def release(self, notices: Sequence[Notice]) -> None:
        """Give back notices that could not be told; they wait as before."""
        if not notices:
            return
        theirs = rows.among(outbox.c.id, [each.id for each in notices], self._database.dialect)
        ours = rows.among(outbox.c.lease, list({each.lease for each in notices}), self._database.dialect)
        async with self._database.writing() as connection:
            await connection.execute(update(outbox).where(theirs, ours).values(FREE))

    async def undelivered(self) -> int:
        """Return how many notices wait."""
        waiting = select(func.count()).select_from(outbox).where(outbox.c.written_at.is_(None))
        async with self._database.reading() as connection:
            return (await connection.execute(waiting)).scalar_one()


def _id(row: Record) -> int:
    key: int = row.id
    return key

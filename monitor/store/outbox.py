"""What was decided and is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from monitor.ports import Notice
from monitor.store import rows
from monitor.store.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from monitor.store.engine import Database


class SqlOutbox:
    """The outbox in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending(self, *, limit: int) -> list[Notice]:
        """Return the oldest notices that are not marked as written."""
        waiting = select(outbox.c.id, outbox.c.payload).where(outbox.c.written_at.is_(None))
        async with self._database.reading() as connection:
            found = await connection.execute(waiting.order_by(outbox.c.id).limit(limit))
            return [Notice(id=each.id, payload=each.payload) for each in found]

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Mark notices as written, after the line was flushed."""
        if not ids:
            return
        told = rows.among(outbox.c.id, ids, self._database.dialect)
        async with self._database.writing() as connection:
            await connection.execute(update(outbox).where(told).values(written_at=now))

    async def undelivered(self) -> int:
        """Return how many notices wait."""
        waiting = select(func.count()).select_from(outbox).where(outbox.c.written_at.is_(None))
        async with self._database.reading() as connection:
            return (await connection.execute(waiting)).scalar_one()

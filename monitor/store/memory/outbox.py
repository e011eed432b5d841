"""What was decided and is to be told."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from monitor.ports import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from monitor.store.memory.tables import Tables


class MemoryOutbox:
    """The outbox of one store, in the order of decision."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def pending(self, *, limit: int) -> list[Notice]:
        """Return the oldest notices that are not marked as written."""
        return list(islice(self._waiting(), limit))

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Mark notices as written; those that are not known any more are passed over."""
        for each in ids:
            notice = self._tables.notices.get(each)
            if notice is not None:
                notice.written_at = now

    async def undelivered(self) -> int:
        """Return how many notices wait."""
        return sum(1 for _ in self._waiting())

    def _waiting(self) -> Iterator[Notice]:
        for number, each in self._tables.notices.items():
            if each.written_at is None:
                yield Notice(id=number, payload=each.payload)

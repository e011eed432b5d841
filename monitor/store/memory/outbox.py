"""What was decided and is to be told."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from monitor.ports import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime, timedelta

    from monitor.store.memory.tables import Tables, Waiting


class MemoryOutbox:
    """The outbox of one store, in the order of decision."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(self, *, limit: int, now: datetime, lease: timedelta) -> list[Notice]:
        """Take the oldest notices that are not marked as written, under a lease."""
        free = (item for item in self._waiting() if item[1].leased_until is None or item[1].leased_until <= now)
        return [self._lent(number, each, now + lease) for number, each in islice(free, limit)]

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Mark notices as written; those that are not known any more are passed over."""
        for each in ids:
            notice = self._tables.notices.get(each)
            if notice is not None:
                notice.written_at = now

    async def release(self, notices: Sequence[Notice]) -> None:
        """Give back notices that could not be told; they wait as before."""
        for each in notices:
            row = self._tables.notices.get(each.id)
            if row is not None and row.lease == each.lease:
                row.lease = row.leased_until = None

    async def undelivered(self) -> int:
        """Return how many notices wait."""
        return sum(1 for _ in self._waiting())

    def _waiting(self) -> Iterator[tuple[int, Waiting]]:
        return (item for item in self._tables.notices.items() if item[1].written_at is None)

    def _lent(self, number: int, each: Waiting, until: datetime) -> Notice:
        each.lease, each.leased_until = self._tables.number(), until
        return Notice(id=number, lease=each.lease, payload=each.payload)

"""Long answers a page at a time, each from the last one's key on: no transaction lasts, and memory is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import tuple_

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Select

    from monitor.store.counting import TargetIds
    from monitor.store.engine import Database
    from monitor.store.rows import Record

PAGE: Final = 2000


class Pages:
    """The pages of one database."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._target_ids = target_ids

    async def target_ids(self, only: str | None) -> AsyncIterator[int]:
        """Yield the targets' numbers in the order of their names: an index orders users only within one."""
        async with self._database.reading() as connection:
            known = await self._target_ids.refresh(connection)
        for name, number in sorted(known.items()):
            if only in {None, name}:
                yield number

    async def of(self, asked: Select[Any], order: tuple[Any, ...]) -> AsyncIterator[Record]:
        """Yield all rows in an order that no two of them share."""
        labelled = asked.add_columns(*(column.label(f"key_{place}") for place, column in enumerate(order)))
        page = labelled.order_by(*order).limit(PAGE)
        last: tuple[Any, ...] | None = None
        while True:
            async with self._database.reading() as connection:
                found = (await connection.execute(page if last is None else page.where(*_after(order, last)))).all()
            for row in found:
                yield row
            if len(found) < PAGE:
                return
            last = tuple(getattr(found[-1], f"key_{place}") for place in range(len(order)))


def _after(order: tuple[Any, ...], last: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first condition follows from the second; it alone can use an index where ``order`` spans tables."""
    return order[0] >= last[0], tuple_(*order) > last

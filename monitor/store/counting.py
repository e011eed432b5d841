"""Moving the counts: added to in one order, so that replicas cannot deadlock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.tables import counts, targets

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from sqlalchemy import Dialect, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.tally import Key


def upsert(table: Table, dialect: Dialect) -> Any:
    """Return an INSERT that can say what happens on a conflict."""
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


async def move(connection: AsyncConnection, amounts: Counter[Key], target_ids: Mapping[str, int]) -> None:
    """Add ``amounts`` to the counts."""
    rows = [
        {"target_id": target_ids[key.target], "count": key.count.value, "a": key.a, "b": key.b, "c": key.c, "value": n}
        for key, n in sorted(amounts.items())
        if n
    ]
    if not rows:
        return
    insert = upsert(counts, connection.dialect)
    added = insert.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns), set_={"value": counts.c.value + insert.excluded.value}
    )
    await connection.execute(added, rows)


class TargetIds:
    """The targets' numbers, made when first needed and remembered."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    async def of(self, connection: AsyncConnection, name: str) -> int:
        """Return the number of a target; the transaction must be a writing one."""
        if name not in self._known:
            insert = upsert(targets, connection.dialect).values(name=name).on_conflict_do_nothing()
            await connection.execute(insert)
            await self.refresh(connection)
        return self._known[name]

    async def found(self, connection: AsyncConnection, name: str) -> int | None:
        """Return the number of a target, None where it never had a user."""
        if name not in self._known:
            await self.refresh(connection)
        return self._known.get(name)

    async def refresh(self, connection: AsyncConnection) -> dict[str, int]:
        """Read all targets again and return them."""
        rows = await connection.execute(select(targets.c.name, targets.c.id))
        self._known = {row.name: row.id for row in rows}
        return self._known

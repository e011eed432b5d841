"""Moving the counts: added to in one order, so that replicas cannot deadlock."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.core import tally
from monitor.core.model import Intent, Presence
from monitor.store import rows
from monitor.store.tables import connections, counts, targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Dialect, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.tally import Key
    from monitor.store.rows import Record


def upsert(table: Table, dialect: Dialect) -> Any:
    """Return an INSERT that can say what happens on a conflict."""
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


async def move(connection: AsyncConnection, amounts: Counter[Key], target_ids: Mapping[str, int]) -> None:
    """Add ``amounts`` to the counts."""
    moved = [
        {"target_id": target_ids[key.target], "count": key.count.value, "a": key.a, "b": key.b, "c": key.c, "value": n}
        for key, n in sorted(amounts.items())
        if n
    ]
    if not moved:
        return
    insert = upsert(counts, connection.dialect)
    added = insert.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns), set_={"value": counts.c.value + insert.excluded.value}
    )
    await connection.execute(added, moved)


class TargetIds:
    """The targets' numbers, remembered once they are committed: a transaction that makes one may still fail."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    async def of(self, connection: AsyncConnection, name: str) -> int:
        """Return the number of a target, made where there is none; the transaction must be a writing one."""
        known = await self.refresh(connection)
        if name not in known:
            insert = upsert(targets, connection.dialect).values(name=name).on_conflict_do_nothing()
            await connection.execute(insert)
            known = await self.refresh(connection)
        return known[name]

    async def found(self, connection: AsyncConnection, name: str) -> int | None:
        """Return the number of a target, None where it never had a user; not for a transaction that makes targets."""
        if name not in self._known:
            self._known = await self.refresh(connection)
        return self._known.get(name)

    async def refresh(self, connection: AsyncConnection) -> dict[str, int]:
        """Read all targets and return them as this transaction sees them."""
        every = await connection.execute(select(targets.c.name, targets.c.id))
        return {row.name: row.id for row in every}


async def of_members(
    connection: AsyncConnection, target: str, found: Sequence[Record], *, watched: bool
) -> Counter[Key]:
    """Return what these users and their connections add to the counts; nothing where they are not ``watched``."""
    amounts: Counter[Key] = Counter()
    if not watched or not found:
        return amounts
    for each in found:
        intent = Intent.ACTIVE if each.intent == Intent.REMOVED else Intent(each.intent)
        amounts.update(tally.of_user(target, intent, Presence(each.presence), each.failures, each.outcome))
    theirs = rows.among(connections.c.member, [each.id for each in found], connection.dialect)
    held = await connection.execute(select(connections).where(theirs))
    amounts.update(tally.of_connections(target, (rows.connection(row) for row in held)))
    return amounts

"""Moving the counts: locked and added to in one order, so that replicas cannot deadlock.

1. The rows that are there are locked, in the order of their keys.
2. Where some are not there, the target is locked as well: whether a word gets a row of its own (see
   :mod:`monitor.store.vocabulary`) is decided by one transaction at a time, and so is which rows are taken away.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from monitor.core import tally
from monitor.core.model import Intent, Presence
from monitor.core.tally import Count, Key
from monitor.store import rows
from monitor.store.tables import connections, counts, targets
from monitor.store.vocabulary import as_other, forgotten, group_of, placed, unneeded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Dialect, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.store.rows import Record
    from monitor.store.vocabulary import Group


PRIMARY_KEY: Final = ("target_id", "count", "a", "b", "c")
ROW: Final = (*PRIMARY_KEY, "value")
AT_ONCE: Final = 500
"""Keys in one statement: each is five parameters, and databases bound their number."""


def upsert(table: Table, dialect: Dialect) -> Any:
    """Return an INSERT that can say what happens on a conflict."""
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


async def move(connection: AsyncConnection, amounts: Mapping[Key, int], target_ids: Mapping[str, int]) -> None:
    """Add ``amounts`` to the counts."""
    wanted = {key: amount for key, amount in amounts.items() if amount}
    there = await _lock(connection, wanted, target_ids)
    missing = {key: amount for key, amount in wanted.items() if key not in there}
    if missing:
        await lock_targets(connection, {target_ids[key.target] for key in missing})
        rows_there = await rows_of(connection, {group_of(key) for key in missing}, target_ids)
        wanted = Counter({key: wanted[key] for key in there})
        wanted.update(placed(missing, rows_there))
    await add(connection, wanted, target_ids)


async def add(connection: AsyncConnection, amounts: Mapping[Key, int], target_ids: Mapping[str, int]) -> None:
    """Add ``amounts`` to these very rows, and make those that are not there."""
    moved = [
        dict(zip(PRIMARY_KEY, key, strict=True)) | {"value": amount}
        for key, amount in sorted((_columns(key, target_ids), amount) for key, amount in amounts.items() if amount)
    ]
    if not moved:
        return
    insert = upsert(counts, connection.dialect)
    added = insert.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns), set_={"value": counts.c.value + insert.excluded.value}
    )
    await connection.execute(added, moved)


async def lock_targets(connection: AsyncConnection, target_ids: Collection[int]) -> None:
    """Let no other transaction make or take away rows of these targets; users may be registered meanwhile."""
    asked = select(targets.c.id).where(targets.c.id.in_(target_ids)).order_by(targets.c.id)
    await connection.execute(asked.with_for_update(key_share=True))


async def rows_of(
    connection: AsyncConnection, groups: Collection[Group], target_ids: Mapping[str, int]
) -> Mapping[Key, int]:
    """Return all rows of these targets and counts, with their values."""
    names = {target_ids[target]: target for target, _ in groups}
    named = [(target_ids[target], count.value) for target, count in groups]
    asked = select(counts, counts.c.count.label("counted"))
    asked = asked.where(tuple_(counts.c.target_id, counts.c.count).in_(named))
    found = await connection.execute(asked)
    return {Key(names[row.target_id], Count(row.counted), row.a, row.b, row.c): row.value for row in found}


async def prune(connection: AsyncConnection, target: str, target_id: int) -> int:
    """Delete rows of a target that nothing needs, and return how many."""
    await lock_targets(connection, [target_id])
    target_ids = {target: target_id}
    there = await rows_of(connection, {(target, each) for each in Count}, target_ids)
    zeros = unneeded(there)
    await _delete(connection, zeros, target_ids, counts.c.value == 0)
    left = {key: amount for key, amount in there.items() if key not in set(zeros)}
    totals = Counter(forgotten(left))
    taken = await _delete(connection, totals, target_ids)
    moved: Counter[Key] = Counter()
    for key, amount in taken.items():
        moved[as_other(key)] += amount
    await add(connection, moved, target_ids)
    return len(zeros) + len(taken)


async def _delete(
    connection: AsyncConnection, keys: Collection[Key], target_ids: Mapping[str, int], *conditions: ColumnElement[bool]
) -> Mapping[Key, int]:
    """Delete rows, and return the values that they had."""
    names = {number: target for target, number in target_ids.items()}
    columns = [_columns(key, target_ids) for key in keys]
    ours = tuple_(*(counts.c[name] for name in PRIMARY_KEY))
    deleted: dict[Key, int] = {}
    for start in range(0, len(columns), AT_ONCE):
        gone = delete(counts).where(ours.in_(columns[start : start + AT_ONCE]), *conditions)
        for row in await connection.execute(gone.returning(*(counts.c[name].label(f"key_{name}") for name in ROW))):
            number, count, a, b, c, value = row
            deleted[Key(names[number], Count(count), a, b, c)] = value
    return deleted


async def _lock(connection: AsyncConnection, keys: Collection[Key], target_ids: Mapping[str, int]) -> frozenset[Key]:
    """Lock the rows of these keys in their order, and return those that are there."""
    columns = sorted((_columns(key, target_ids), key) for key in keys)
    ours = tuple_(*(counts.c[name] for name in PRIMARY_KEY))
    found: set[tuple[object, ...]] = set()
    for start in range(0, len(columns), AT_ONCE):
        page = [each for each, _ in columns[start : start + AT_ONCE]]
        asked = select(*(counts.c[name].label(f"key_{name}") for name in PRIMARY_KEY)).where(ours.in_(page))
        asked = asked.order_by(*_in_order(connection.dialect)).with_for_update()
        found.update(tuple(row) for row in await connection.execute(asked))
    return frozenset(key for each, key in columns if each in found)


def _columns(key: Key, target_ids: Mapping[str, int]) -> tuple[int, str, str, str, str]:
    return target_ids[key.target], key.count.value, key.a, key.b, key.c


def _in_order(dialect: Dialect) -> list[ColumnElement[Any]]:
    """Return the order of the primary key as Python sorts it: by code point, which on PostgreSQL has to be said."""
    texts = [counts.c[name] for name in PRIMARY_KEY[1:]]
    return [counts.c.target_id, *(texts if dialect.name == "sqlite" else (each.collate("C") for each in texts))]


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

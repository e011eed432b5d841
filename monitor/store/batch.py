"""What one commit writes: bulk statements only, however many users are in it.

1. Polls without news, nearly all, are written by one statement that checks their leases.
2. Of the others the leases are checked and the users locked, in one order.
3. Their rows are written: due time, last good poll, digest, failures, presence; the lease ends.
4. For the few users that changed: connections, snapshots, transitions, and the queue of alert decisions.
5. The counts are moved, last and in one order, so that replicas hold these shared rows for the shortest time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import and_, bindparam, case, delete, insert, select, text, update

from monitor.core.model import Kind, Presence
from monitor.store import registration, rows, times
from monitor.store.counting import move, upsert
from monitor.store.tables import connections, snapshots, to_json, transitions, undecided, users
from monitor.store.words import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.judge import Change, Verdict
    from monitor.core.model import Connection
    from monitor.core.tally import Key
    from monitor.store.counting import TargetIds
    from monitor.store.rows import Record

POLLED: Final = (
    "next_poll_at",
    "observed_at",
    "digest",
    "failures",
    "presence",
    "missing_since",
    "reason",
    "outcome",
    "failed_at",
    "doubts",
)
UNNESTED: Final = text(
    """
    UPDATE users SET next_poll_at = v.next_poll_at, observed_at = coalesce(v.observed_at, users.observed_at),
        digest = v.digest, failures = v.failures, presence = v.presence, missing_since = v.missing_since,
        reason = v.reason, outcome = v.outcome, failed_at = v.failed_at, doubts = v.doubts,
        lease = NULL, leased_until = NULL
    FROM unnest(
        CAST(:id AS bigint[]), CAST(:next_poll_at AS timestamptz[]), CAST(:observed_at AS timestamptz[]),
        CAST(:digest AS bytea[]), CAST(:failures AS integer[]), CAST(:presence AS text[]),
        CAST(:missing_since AS timestamptz[]), CAST(:reason AS text[]), CAST(:outcome AS text[]),
        CAST(:failed_at AS timestamptz[]), CAST(:doubts AS jsonb[])
    ) AS v (
        id, next_poll_at, observed_at, digest, failures, presence, missing_since, reason, outcome, failed_at, doubts
    )
    WHERE users.id = v.id
    """
)
ROW_BY_ROW: Final = (
    update(users)
    .where(users.c.id == bindparam("key"))
    .values(
        {name: bindparam(f"new_{name}", type_=users.c[name].type) for name in POLLED}
        | {
            "observed_at": case(
                (bindparam("new_observed_at", type_=users.c.observed_at.type).is_(None), users.c.observed_at),
                else_=bindparam("new_observed_at", type_=users.c.observed_at.type),
            ),
            "lease": None,
            "leased_until": None,
        }
    )
)


class Batch:
    """One commit inside one writing transaction."""

    def __init__(self, connection: AsyncConnection, target_ids: TargetIds) -> None:
        self._connection = connection
        self._target_ids = target_ids
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def write(self, verdicts: Sequence[Verdict], now: datetime) -> frozenset[int]:
        """Write the verdicts whose leases hold at ``now``, and return their keys."""
        plain = [each for each in verdicts if each.only_times]
        written = await times.write(self._connection, plain, now) if plain else frozenset()
        others = [each for each in verdicts if not each.only_times]
        return written | await self._write_others(others, now) if others else written

    async def _write_others(self, verdicts: Sequence[Verdict], now: datetime) -> frozenset[int]:
        locked = await self._lock(verdicts, now)
        held = [each for each in verdicts if each.claim.key in locked]
        if not held:
            return frozenset()
        await self._write_users(held)
        changed = [(each, storable(each.change)) for each in held if each.change is not None]
        counts: Counter[Key] = Counter()
        for each in held:
            counts.update(storable(each.counts))
        if changed:
            await self._write_connections([each for each in changed if each[1].connections is not None], locked)
            await self._write_transitions(changed)
            await self._queue(changed)
        for name in {key.target for key in counts}:
            await self._target_ids.of(self._connection, name)
        await move(self._connection, counts, await self._target_ids.refresh(self._connection) if counts else {})
        return frozenset(locked)

    async def _lock(self, verdicts: Sequence[Verdict], now: datetime) -> dict[int, datetime | None]:
        """Return the last good poll of the users whose lease holds, by key."""
        keys = [each.claim.key for each in verdicts]
        asked = (
            select(users.c.id, users.c.lease, users.c.observed_at)
            .where(rows.among(users.c.id, keys, self._connection.dialect), users.c.leased_until > now)
            .order_by(users.c.id)
            .with_for_update()
        )
        found = {row.id: row for row in await self._connection.execute(asked)}
        ours = [each.claim for each in verdicts if _holds(found.get(each.claim.key), each)]
        return {each.key: found[each.key].observed_at for each in ours}

    async def _write_users(self, verdicts: Sequence[Verdict]) -> None:
        if self._is_sqlite:
            new = [{f"new_{name}": value for name, value in _polled(each).items()} for each in verdicts]
            keyed = [row | {"key": each.claim.key} for row, each in zip(new, verdicts, strict=True)]
            await self._connection.execute(ROW_BY_ROW, keyed)
            return
        columns: dict[str, list[Any]] = {"id": [each.claim.key for each in verdicts]}
        polled = [_polled(each) for each in verdicts]
        columns |= {name: [row[name] for row in polled] for name in POLLED}
        columns["doubts"] = [None if row["doubts"] is None else to_json(row["doubts"]) for row in polled]
        await self._connection.execute(UNNESTED, columns)

    async def _write_connections(
        self, changed: Sequence[tuple[Verdict, Change]], seen: Mapping[int, datetime | None]
    ) -> None:
        if not changed:
            return
        keys = [verdict.claim.key for verdict, _ in changed]
        theirs = rows.among(connections.c.member, keys, self._connection.dialect)
        columns = (connections.c.member, connections.c.provider, connections.c.status)
        times = (connections.c.since, connections.c.first_seen_at)
        found = await self._connection.execute(select(*columns, *times).where(theirs))
        before = {(row.member, row.provider): row for row in found}
        await self._connection.execute(delete(connections).where(theirs))
        held: list[dict[str, Any]] = []
        opened: list[dict[str, Any]] = []
        for verdict, change in changed:
            at, key, after = _time(verdict, change), verdict.claim.key, change.connections or {}
            held.extend(_held(key, each, before.get((key, each.provider)), at) for each in after.values())
            opened.append(_snapshot(verdict, after, at))
        if held:
            await self._connection.execute(insert(connections), held)
        await self._connection.execute(_CLOSE, [{"key": key, "last": seen[key]} for key in keys])
        await self._connection.execute(insert(snapshots), opened)

    async def _write_transitions(self, changed: Sequence[tuple[Verdict, Change]]) -> None:
        found = [
            rows.transition_row(verdict.claim.key, ordinal, each)
            for verdict, change in changed
            for ordinal, each in enumerate(change.transitions)
        ]
        if found:
            await self._connection.execute(
                upsert(transitions, self._connection.dialect).on_conflict_do_nothing(), found
            )

    async def _queue(self, changed: Sequence[tuple[Verdict, Change]]) -> None:
        """Let alert decisions be taken on what is new; of a first snapshot, only on errors younger than the user."""
        new = [(verdict.claim.key, each) for verdict, change in changed for each in change.transitions]
        first = sorted({key for key, each in new if each.baseline and each.kind is Kind.ERRORED})
        origins = await registration.origins(self._connection, first) if first else {}
        found = [
            {"member": key, "transition_id": each.id, "at": each.observed_at}
            for key, each in new
            if not each.baseline or (key in origins and origins[key].makes_news(each))
        ]
        if found:
            await self._connection.execute(insert(undecided), found)


_CLOSE: Final = (
    update(snapshots)
    .where(and_(snapshots.c.member == bindparam("key"), snapshots.c.last_observed_at.is_(None)))
    .values(
        last_observed_at=case(
            (
                snapshots.c.first_observed_at < bindparam("last", type_=snapshots.c.last_observed_at.type),
                bindparam("last", type_=snapshots.c.last_observed_at.type),
            ),
            else_=snapshots.c.first_observed_at,
        )
    )
)


def _holds(row: Record | None, verdict: Verdict) -> bool:
    return row is not None and row.lease == verdict.claim.lease


def _polled(verdict: Verdict) -> dict[str, Any]:
    """Return what a poll makes of the user's own row."""
    return {name: getattr(verdict, name) for name in POLLED} | {
        "presence": verdict.presence.value,
        "reason": storable(verdict.reason),
        "outcome": None if verdict.failed_at is None else verdict.outcome.value,
        "doubts": msgspec.to_builtins(verdict.doubts) if verdict.doubts else None,
    }


def _time(verdict: Verdict, change: Change) -> datetime:
    """A user that is declared gone was not observed: the time of its going is that of the transition."""
    if verdict.observed_at is not None:
        return verdict.observed_at
    return next(each.observed_at for each in change.transitions if each.kind is Kind.USER_GONE)


def _held(key: int, connection: Connection, before: Record | None, at: datetime) -> dict[str, Any]:
    same = before is not None and before.status == connection.status
    return rows.connection_row(connection) | {
        "member": key,
        "since": before.since if before is not None and same else at,
        "first_seen_at": before.first_seen_at if before is not None else at,
    }


def _snapshot(verdict: Verdict, after: Mapping[str, Connection], at: datetime) -> dict[str, Any]:
    return {
        "member": verdict.claim.key,
        "first_observed_at": at,
        "gone": verdict.presence is Presence.GONE,
        "connections": [rows.connection_json(each) for _, each in sorted(after.items())],
    }

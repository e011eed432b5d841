"""What one replica does now and then for all: turns at recurring jobs, and what these write."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, exists, or_, select, tuple_, update

from monitor.core.alerting import AlertState
from monitor.core.model import Kind
from monitor.ports import LONGEST_RETRY, Done, Pruned
from monitor.store import counting, recount, rows
from monitor.store.conflicts import retry_conflicts
from monitor.store.counting import upsert
from monitor.store.due import is_due, is_unleased
from monitor.store.leases import FREE, lent
from monitor.store.standing import STILL_FIRING
from monitor.store.tables import alerts, incidents, jobs, outbox, snapshots, targets, transitions, undecided

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy import Column, ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.tally import Key
    from monitor.ports import Cursor, Recounted
    from monitor.store.engine import Database


class SqlUpkeep:
    """The upkeep in SQL. Pruning goes by index and in small transactions, so that no lock is held for long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_conflicts
    async def begin(self, job: str, *, every: timedelta, now: datetime, lease: timedelta) -> int | None:
        """Take a job that nobody has in hand and that did not run for ``every``; return the lease, None without."""
        due = or_(jobs.c.ran_at.is_(None), is_due(jobs.c.ran_at, now - every, every))
        taken = update(jobs).where(jobs.c.name == job, due, is_unleased(jobs, now, lease)).values(lent(now, lease))
        new = upsert(jobs, self._database.dialect).values(name=job).on_conflict_do_nothing()
        async with self._database.writing() as connection:
            await connection.execute(new)
            held: int | None = (await connection.execute(taken.returning(jobs.c.lease))).scalar()
            return held

    @retry_conflicts
    async def renew(self, job: str, held: int, *, now: datetime, lease: timedelta) -> bool:
        """Hold on to a job for longer; False where somebody else has taken it over."""
        longer = update(jobs).where(jobs.c.name == job, jobs.c.lease == held).values(leased_until=now + lease)
        async with self._database.writing() as connection:
            return bool((await connection.execute(longer)).rowcount)

    @retry_conflicts
    async def end(self, job: str, held: int, *, ran_at: datetime | None) -> None:
        """Give a job back; ``ran_at`` is when it ran, None where it did not and is due as before."""
        ran = {} if ran_at is None else {"ran_at": ran_at}
        ended = update(jobs).where(jobs.c.name == job, jobs.c.lease == held).values(FREE | ran)
        async with self._database.writing() as connection:
            await connection.execute(ended)

    @retry_conflicts
    async def keep_reported(self, target: str, errored: int | None, *, now: datetime) -> None:
        """Keep the vendor's own total of errored connections, None where it could not be had."""
        kept = update(targets).where(targets.c.name == target)
        async with self._database.writing() as connection:
            await connection.execute(kept.values(reported_errored=errored, reported_at=now))

    async def prune_snapshots(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` snapshots that ended before this time, the current ones never; return how many."""
        return await self._prune(snapshots.c.id, snapshots.c.last_observed_at, before, limit)

    async def prune_alerts(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` alerts, and as many incidents and notices, of before this time; return how many."""
        ended = await self._prune(alerts.c.id, alerts.c.resolved_at, before, limit)
        ended += await self._prune(incidents.c.id, incidents.c.resolved_at, before, limit, ~_HAS_OPEN_MEMBER)
        past = (outbox.c.state != AlertState.FIRING.value) | ~STILL_FIRING
        return ended + await self._prune(outbox.c.id, outbox.c.written_at, before, limit, past)

    async def give_up_unconfigured(
        self, sinks: Collection[str], *, before: datetime, now: datetime, limit: int
    ) -> Mapping[str, int]:
        """Give up up to ``limit`` notices from before this time that wait for none of ``sinks``; count them by sink."""
        waiting = (
            select(outbox.c.id)
            .where(outbox.c.written_at.is_(None), outbox.c.sink.not_in(sinks), outbox.c.created_at < before)
            .where(is_unleased(outbox, now, LONGEST_RETRY))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ended = {"outcome": Done.GAVE_UP.value, "written_at": now, "error": None} | FREE
        given_up = update(outbox).where(rows.once(outbox.c.id, waiting, self._database.dialect)).values(ended)
        async with self._database.writing() as connection:
            return Counter((await connection.execute(given_up.returning(outbox.c.sink))).scalars())

    @retry_conflicts
    async def prune_transitions(self, before: datetime, *, limit: int, cursor: Cursor | None) -> Pruned:
        """Look at the next ``limit`` transitions before this time, and delete those that are not the last word."""
        place = (_EACH.c.observed_at, _EACH.c.member, _EACH.c.ordinal)
        page = select(_EACH.c.id, *place, _IS_PAST.label("is_past")).where(_EACH.c.observed_at < before)
        if cursor is not None:
            page = page.where(tuple_(*place) > cursor)
        async with self._database.writing() as connection:
            found = (await connection.execute(page.order_by(*place).limit(limit))).all()
            old = [each.id for each in found if each.is_past]
            await self._delete(connection, transitions.c.id, old)
        last = found[-1] if len(found) == limit else None
        return Pruned(deleted=len(old), cursor=last and (last.observed_at, last.member, last.ordinal))

    async def purge_log(self) -> bool:
        """Remove what was deleted from SQLite's write-ahead log; False while another program reads the database."""
        return await self._database.checkpoint()

    async def prune_counts(self) -> int:
        """Delete counts at zero that nothing needs, and return how many; see the port."""
        pruned = 0
        for target, target_id in (await self._targets()).items():
            async with self._database.writing() as connection:
                pruned += await counting.prune(connection, target, target_id)
        return pruned

    async def count_differences(self) -> Mapping[Key, Recounted]:
        """Count anew, and return where the counts differ from that; see the port."""
        async with self._database.reading() as connection:
            return await recount.differences(connection)

    async def repair_counts(self, differences: Mapping[Key, Recounted]) -> None:
        """Move the counts by these differences, whatever has moved them meanwhile."""
        target_ids = await self._targets()
        moved = {key: each.counted - each.kept for key, each in differences.items()}
        async with self._database.writing() as connection:
            await counting.lock_targets(connection, {target_ids[key.target] for key in moved})
            await counting.add(connection, moved, target_ids)

    async def _targets(self) -> Mapping[str, int]:
        async with self._database.reading() as connection:
            return await counting.TargetIds().refresh(connection)

    @retry_conflicts
    async def _prune(
        self, key: Column[Any], ended: Column[Any], before: datetime, limit: int, *conditions: ColumnElement[bool]
    ) -> int:
        past = select(key).where(ended < before, *conditions).order_by(ended).limit(limit)
        async with self._database.writing() as connection:
            found = (await connection.execute(past.with_for_update(skip_locked=True, of=key.table))).scalars().all()
            await self._delete(connection, key, found)
        return len(found)

    async def _delete(self, connection: AsyncConnection, key: Column[Any], found: Any) -> None:
        if found:
            await connection.execute(delete(key.table).where(rows.among(key, found, self._database.dialect)))


_HAS_OPEN_MEMBER: Final = exists().where(alerts.c.incident_id == incidents.c.id, alerts.c.resolved_at.is_(None))
_EACH: Final = transitions.alias("each")
_LATER: Final = transitions.alias("later")
_SAME_PROVIDER: Final = and_(
    _LATER.c.provider == _EACH.c.provider,
    or_(
        _LATER.c.kind == Kind.DISAPPEARED,
        and_(_LATER.c.resource.is_(None), _EACH.c.resource.is_(None)),
        _LATER.c.resource == _EACH.c.resource,
    ),
)
_SUPERSEDED: Final = exists().where(
    _LATER.c.member == _EACH.c.member,
    tuple_(_LATER.c.observed_at, _LATER.c.ordinal) > tuple_(_EACH.c.observed_at, _EACH.c.ordinal),
    or_(
        _LATER.c.kind == Kind.USER_GONE,
        and_(_LATER.c.provider.is_(None), _EACH.c.provider.is_(None)),
        _SAME_PROVIDER,
    ),
)
"""A later transition says all that this one does: of the same connection or resource, or the end of its row or user."""
_WAITS: Final = exists().where(undecided.c.member == _EACH.c.member, undecided.c.transition_id == _EACH.c.id)
"""No alert decision was taken on it yet."""
_IS_PAST: Final = and_(_SUPERSEDED, ~_WAITS)

"""Questions that change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from monitor.core.model import Intent
from monitor.core.tally import Count, Key
from monitor.ports import ConnectionView, EvaluationBacklog, Freshness, PastSnapshot
from monitor.store import budgets, rows
from monitor.store.evaluation_queue import IS_OBSERVED
from monitor.store.paging import Pages
from monitor.store.raised import Raised
from monitor.store.schema import head, mismatch, refuse_other_than
from monitor.store.tables import (
    CLAIMABLE,
    PRESENT,
    connections,
    counts,
    snapshots,
    targets,
    transitions,
    undecided,
    users,
)
from monitor.store.tables import budgets as budgets_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.model import Transition
    from monitor.core.target_health import TargetHealth
    from monitor.ports import AlertFilter, AlertView, IncidentView, TransitionFilter
    from monitor.store.counting import TargetIds
    from monitor.store.engine import Database


class SqlViews:
    """The questions in SQL. Long answers are paged by key, so that no transaction lasts and memory is bounded."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._target_ids = target_ids
        self._pages = Pages(database, target_ids)
        self._raised = Raised(database, target_ids)
        self._head = head()

    async def counts(self) -> Mapping[Key, int]:
        """Return all counts, zeros included."""
        asked = select(counts, counts.c.count.label("counted"), targets.c.name.label("target")).join(targets)
        async with self._database.reading() as connection:
            found = (await connection.execute(asked)).all()
        return {Key(row.target, Count(row.counted), row.a, row.b, row.c): row.value for row in found}

    async def freshness(self, target: str, *, interval: timedelta, now: datetime) -> Freshness:
        """Return how current the watch over ``target`` is.

        Users that are not fresh are few where all is well: they are counted by index and taken from the total.
        """
        async with self._database.reading() as connection:
            target_id = await self._target_ids.found(connection, target)
            ours = users.c.target_id == target_id
            stale = and_(ours, PRESENT, users.c.observed_at < now - 2 * interval)
            unseen = and_(ours, PRESENT, users.c.observed_at.is_(None))
            late = and_(ours, CLAIMABLE, users.c.next_poll_at < now - interval)
            answers = (
                await connection.execute(
                    select(
                        _ACTIVE.where(counts.c.target_id == target_id).scalar_subquery(),
                        _how_many(stale),
                        _how_many(unseen),
                        _how_many(late),
                        select(func.min(users.c.observed_at)).where(ours, PRESENT).scalar_subquery(),
                        select(func.max(users.c.observed_at)).where(ours, PRESENT).scalar_subquery(),
                    )
                )
            ).one()
        active, not_fresh, never, overdue, oldest, latest = answers
        return Freshness(fresh=max(0, (active or 0) - not_fresh - never), overdue=overdue, oldest=oldest, latest=latest)

    async def health(self) -> Mapping[str, TargetHealth]:
        """Return what is known of each target as a whole."""
        asked = select(budgets_table, targets.c.name).join(targets)
        async with self._database.reading() as connection:
            return {row.name: budgets.of_row(row).health for row in await connection.execute(asked)}

    async def evaluation_backlog(self) -> EvaluationBacklog:
        """Return how much waits to be evaluated, and since when."""
        query = select(func.count().label("entries"), func.min(undecided.c.at).label("oldest"))
        waiting = query.select_from(undecided.join(users)).where(IS_OBSERVED)
        async with self._database.reading() as connection:
            row = (await connection.execute(waiting)).one()
        return EvaluationBacklog(entries=row.entries, oldest=row.oldest)

    async def reported(self, *, since: datetime) -> Mapping[str, int]:
        """Return the vendor's own total of errored connections, by target, where it was had since then."""
        asked = select(targets.c.name, targets.c.reported_errored).where(
            targets.c.reported_at >= since, targets.c.reported_errored.is_not(None)
        )
        async with self._database.reading() as connection:
            return {row.name: row.reported_errored for row in await connection.execute(asked)}

    async def connections(
        self,
        *,
        target: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        user_id: UUID | None = None,
    ) -> AsyncIterator[ConnectionView]:
        """Yield current connections of users that are not removed, by target, as users were registered, by provider."""
        asked = _CONNECTIONS
        given = {connections.c.provider: provider, connections.c.status: status, users.c.user_id: user_id}
        for column, value in given.items():
            if value is not None:
                asked = asked.where(column == value)
        async for target_id in self._pages.target_ids(target):
            ours = asked.where(users.c.target_id == target_id)
            async for row in self._pages.of(ours, (connections.c.member, connections.c.provider)):
                yield ConnectionView(
                    target=row.target,
                    user_id=row.user_id,
                    connection=rows.connection(row),
                    since=row.since,
                    first_seen_at=row.first_seen_at,
                    observed_at=row.observed_at,
                )

    async def transitions(self, wanted: TransitionFilter) -> AsyncIterator[Transition]:
        """Yield transitions, oldest observation first; of one user and time in the order of the diff."""
        asked = _TRANSITIONS
        given = {
            targets.c.name: wanted.target,
            users.c.user_id: wanted.user_id,
            transitions.c.provider: wanted.provider,
            transitions.c.kind: wanted.kind,
        }
        for column, value in given.items():
            if value is not None:
                asked = asked.where(column == value)
        if wanted.since is not None:
            asked = asked.where(transitions.c.observed_at >= wanted.since)
        if wanted.until is not None:
            asked = asked.where(transitions.c.observed_at < wanted.until)
        order = (transitions.c.observed_at, transitions.c.member, transitions.c.ordinal)
        async for row in self._pages.of(asked, order):
            yield rows.transition(row)

    def alerts(self, wanted: AlertFilter) -> AsyncIterator[AlertView]:
        """Yield alerts in the order in which they were confirmed."""
        return self._raised.alerts(wanted)

    async def incidents(
        self, *, target: str | None = None, provider: str | None = None, since: datetime | None = None
    ) -> Sequence[IncidentView]:
        """Return open incidents, and those that resolved at or after ``since`` where it is given, oldest first."""
        return await self._raised.incidents(target=target, provider=provider, since=since)

    async def snapshot_at(self, target: str, user_id: UUID, at: datetime) -> PastSnapshot | None:
        """Return the snapshot as it stood at ``at``, None before the first."""
        asked = (
            select(snapshots, users.c.observed_at)
            .select_from(snapshots.join(users).join(targets))
            .where(targets.c.name == target, users.c.user_id == user_id, snapshots.c.first_observed_at <= at)
            .order_by(snapshots.c.first_observed_at.desc())
            .limit(1)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(asked)).one_or_none()
        if row is None:
            return None
        first = row.first_observed_at
        return PastSnapshot(
            first_observed_at=first,
            last_observed_at=row.last_observed_at or max(first, row.observed_at or first),
            gone=row.gone,
            connections=tuple(rows.connection_of_json(each) for each in row.connections),
        )

    async def ping(self) -> None:
        """Return when the database answers at the expected schema."""
        async with self._database.reading() as connection:
            try:
                found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
            except (OperationalError, ProgrammingError) as error:
                if "alembic_version" in str(error.orig):
                    raise mismatch(self._head, None) from error
                raise
        refuse_other_than(self._head, found)


_ACTIVE: Final = select(counts.c.value).where(counts.c.count == Count.USERS.value, counts.c.a == "active")
_CONNECTIONS: Final = (
    select(connections, users.c.user_id, users.c.observed_at, targets.c.name.label("target"))
    .select_from(connections.join(users).join(targets))
    .where(users.c.intent != Intent.REMOVED)
)
_TRANSITIONS: Final = select(transitions, users.c.user_id, targets.c.name.label("target")).select_from(
    transitions.join(users).join(targets)
)


def _how_many(condition: Any) -> Any:
    return select(func.count()).select_from(users).where(condition).scalar_subquery()

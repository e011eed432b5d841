"""What a store keeps of alerts and incidents, and what it has in its queue, where no port shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from monitor.core.alerting import AlertState
from monitor.core.incidents import Cause, Incident, WaveKey
from monitor.core.policy import Severity
from monitor.ports import AlertView
from monitor.store import SqlStore, rows
from monitor.store import tables as sql
from monitor.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import Alert
    from monitor.ports import Store
    from monitor.store.rows import Record

_ALERTS: Final = select(sql.alerts, sql.users.c.user_id, sql.targets.c.name.label("target")).select_from(
    sql.alerts.join(sql.users).join(sql.targets, sql.users.c.target_id == sql.targets.c.id)
)
_INCIDENTS: Final = select(sql.incidents, sql.targets.c.name.label("target")).join(sql.targets)
_UNDECIDED: Final = select(func.count().label("amount")).select_from(sql.undecided)


async def alerts(store: Store) -> list[AlertView]:
    """Return all alerts, by the time at which they began."""
    if isinstance(store, MemoryStore):
        found = [each.view for each in store.alerts._tables.alerts.values()]
    else:
        found = [_alert(each) for each in await _rows(store, _ALERTS)]
    return sorted(found, key=lambda each: (each.alert.began_at, each.alert.id))


async def incidents(store: Store) -> list[Incident]:
    """Return all incidents by age: as people were last told of them, but for their members, who are counted anew."""
    if isinstance(store, MemoryStore):
        found = [each.incident for each in store.alerts._tables.incidents.values()]
    else:
        found = [_incident(each) for each in await _rows(store, _INCIDENTS)]
    kept = [each.alert for each in await alerts(store)]
    return sorted((_counted(each, kept) for each in found), key=lambda each: (each.opened_at, each.key))


async def undecided(store: Store) -> int:
    """Return how much there is that no decision was taken on yet."""
    if isinstance(store, MemoryStore):
        return len(store.alerts._tables.undecided)
    (row,) = await _rows(store, _UNDECIDED)
    amount: int = row.amount
    return amount


async def unlisted(store: Store) -> dict[UUID, datetime]:
    """Return the users that a complete list did not name although they are missing, with when it was read."""
    if isinstance(store, MemoryStore):
        rows = store.cohort._tables.rows.values()
        return {each.user.user_id: each.unlisted_at for each in rows if each.unlisted_at is not None}
    asked = select(sql.users.c.user_id, sql.users.c.unlisted_at).where(sql.users.c.unlisted_at.is_not(None))
    return {each.user_id: each.unlisted_at for each in await _rows(store, asked)}


async def discovered_at(store: Store, target: str) -> datetime | None:
    """Return when a target's list was first read whole."""
    if isinstance(store, MemoryStore):
        return store.cohort._tables.discovered_at.get(target)
    (row,) = await _rows(store, select(sql.targets.c.discovered_at).where(sql.targets.c.name == target))
    found: datetime | None = row.discovered_at
    return found


async def _rows(store: Store, statement: Any) -> Sequence[Record]:
    assert isinstance(store, SqlStore)
    async with store._database.reading() as connection:
        return (await connection.execute(statement)).all()


def _alert(row: Record) -> AlertView:
    reasons = {"fired_reason": row.fired_reason, "reason": row.reason}
    return AlertView(alert=rows.alert(row), resolved_at=row.resolved_at, **reasons)


def _incident(row: Record) -> Incident:
    return Incident(
        id=row.id,
        key=WaveKey(row.target, row.provider, row.error_type),
        severity=Severity(row.severity),
        cause=Cause(row.cause),
        state=AlertState(row.state),
        since=row.since,
        opened_at=row.opened_at,
        users=row.users,
        share=row.share,
        told_users=row.told_users,
        broken=0,
        joined_at=row.opened_at,
        updates=row.updates,
        resolved_at=row.resolved_at,
    )


def _counted(incident: Incident, kept: Iterable[Alert]) -> Incident:
    members = [each for each in kept if each.incident_id == incident.id]
    joined_at = max((each.confirmed_at for each in members), default=incident.opened_at)
    return replace(incident, broken=sum(each.is_open for each in members), joined_at=joined_at)

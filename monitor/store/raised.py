"""Questions about alerts and incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import or_

from monitor.core.alerting import OPEN, AlertState
from monitor.ports import AlertView, IncidentView
from monitor.store import docket, rows
from monitor.store.paging import Pages
from monitor.store.tables import alerts, incidents, targets, users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from sqlalchemy import Select

    from monitor.ports import AlertFilter
    from monitor.store.counting import TargetIds
    from monitor.store.engine import Database


class Raised:
    """The alerts and incidents of one database, open and past."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._pages = Pages(database, target_ids)

    async def alerts(self, wanted: AlertFilter) -> AsyncIterator[AlertView]:
        """Yield alerts in the order in which they were confirmed."""
        async for row in self._pages.of(_chosen(wanted), (alerts.c.confirmed_at, alerts.c.id)):
            yield AlertView(
                alert=rows.alert(row), fired_reason=row.fired_reason, reason=row.reason, resolved_at=row.resolved_at
            )

    async def incidents(
        self, *, target: str | None, provider: str | None, since: datetime | None
    ) -> list[IncidentView]:
        """Return open incidents, and those that resolved at or after ``since``, oldest first."""
        asked = docket.INCIDENTS.order_by(incidents.c.opened_at, incidents.c.id)
        is_open = incidents.c.state == AlertState.FIRING.value
        asked = asked.where(is_open if since is None else or_(is_open, incidents.c.resolved_at >= since))
        for column, value in {targets.c.name: target, incidents.c.provider: provider}.items():
            if value is not None:
                asked = asked.where(column == value)
        async with self._database.reading() as connection:
            found = (await connection.execute(asked)).all()
            return [IncidentView(incident=await docket.counted(connection, row), reason=row.reason) for row in found]


def _chosen(wanted: AlertFilter) -> Select[Any]:
    asked = docket.ALERTS
    given = {
        targets.c.name: wanted.target,
        users.c.user_id: wanted.user_id,
        alerts.c.provider: wanted.provider,
        alerts.c.severity: wanted.severity,
    }
    for column, value in given.items():
        if value is not None:
            asked = asked.where(column == value)
    is_open = alerts.c.state.in_([each.value for each in OPEN])
    if wanted.only_open:
        return asked.where(is_open)
    return asked if wanted.since is None else asked.where(or_(is_open, alerts.c.resolved_at >= wanted.since))

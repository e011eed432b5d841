"""What stands now, as a sink was told it: alerts and incidents that fire, and the words of their firing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select, text, tuple_

from monitor.core.alerting import AlertState
from monitor.ports import Firing, Standing
from monitor.store import rows
from monitor.store.tables import OPEN, alerts, incidents, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.ports import Place

_PLACE = (alerts.c.member, alerts.c.provider, alerts.c.resource)
_ALERTS = alerts.c.state == AlertState.FIRING.value
_INCIDENTS = incidents.c.state == AlertState.FIRING.value

STILL_FIRING = exists().where(alerts.c.id == outbox.c.alert_id, _ALERTS) | exists().where(
    incidents.c.id == outbox.c.alert_id, _INCIDENTS
)
"""The condition that what a notice is about fires now."""


async def firing(connection: AsyncConnection, sink: str, limit: int, after: Place | None) -> Firing:
    """Return a page of alerts that fire, and with the first one all open incidents."""
    # As text: SQLite knows the index over open alerts only by its own words.
    page = (
        select(alerts.c.id, alerts.c.severity, alerts.c.incident_id, *_PLACE)
        .where(text(OPEN), _ALERTS)
        .order_by(*_PLACE)
        .limit(limit)
    )
    if after is not None:
        page = page.where(tuple_(*_PLACE) > after)
    found = (await connection.execute(page)).all()
    told_of = [each.id for each in found]
    if after is None:
        told_of += (await connection.execute(select(incidents.c.id).where(_INCIDENTS))).scalars().all()
    named = rows.among(outbox.c.alert_id, told_of, connection.dialect)
    notices = (await connection.execute(_last_told(sink, AlertState.FIRING).where(named))).all()
    latest = {each.alert_id: each for each in notices}
    last = found[-1] if len(found) == limit else None
    severities = {each.id: each.severity for each in found if each.incident_id is None}
    return Firing(
        alerts=[
            Standing(
                event=each.event,
                alert_id=each.alert_id,
                payload=each.payload,
                severity=severities.get(each.alert_id),
            )
            for each in latest.values()
        ],
        after=last and (last.member, last.provider, last.resource),
    )


async def told(
    connection: AsyncConnection, sink: str, named: ColumnElement[bool], state: AlertState
) -> Mapping[UUID, Mapping[str, Any]]:
    """Return what a sink was last told of the named alerts in this state."""
    found = (await connection.execute(_last_told(sink, state).where(named))).all()
    return {each.alert_id: each.payload for each in found}


def _last_told(sink: str, state: AlertState) -> Select[Any]:
    """Return the statement for notices that are done with, the latest of an alert last."""
    return (
        select(outbox.c.event, outbox.c.alert_id, outbox.c.payload)
        .where(outbox.c.sink == sink, outbox.c.state == state.value, outbox.c.written_at.is_not(None))
        .order_by(outbox.c.alert_id, outbox.c.id)
    )

"""Putting what was decided into the outbox: a row for each sink, in the transaction of the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from monitor.core.wording import incident_payload, payload
from monitor.events import CONNECTION_ALERT, INCIDENT_ALERT
from monitor.store.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.alerting import Decision
    from monitor.core.incidents import IncidentDecision


async def enqueue(connection: AsyncConnection, told: Sequence[Mapping[str, Any]], sinks: Collection[str]) -> None:
    """Queue each notice for each sink, in order.

    Args:
        connection: in the writing transaction of the decision.
        told: of each notice ``member`` (None for an incident), ``event``, ``alert_id``, ``state``, ``updates`` (how
            often an incident was told before), ``payload``, ``created_at``.
        sinks: their names, ``log`` among them.
    """
    queued = [{**each, "sink": sink, "attempts": 0} for each in told for sink in sinks]
    if queued:
        await connection.execute(insert(outbox), queued)


def of_alert(member: int, each: Decision) -> dict[str, Any]:
    """Return the notice of a step in an alert's life."""
    return {
        "member": member,
        "event": CONNECTION_ALERT,
        "alert_id": each.alert.id,
        "state": each.state.value,
        "updates": 0,
        "payload": payload(each),
        "created_at": each.decided_at,
    }


def of_incident(each: IncidentDecision) -> dict[str, Any]:
    """Return the notice of a step in an incident's life."""
    return {
        "member": None,
        "event": INCIDENT_ALERT,
        "alert_id": each.incident.id,
        "state": each.incident.state.value,
        "updates": each.incident.updates,
        "payload": incident_payload(each),
        "created_at": each.decided_at,
    }

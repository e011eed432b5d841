"""Putting what was decided into the outbox: a row for each sink, in the transaction of the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, insert, select

from monitor.core.alerting import AlertState
from monitor.core.wording import erased_payload, incident_payload, payload
from monitor.events import CONNECTION_ALERT, INCIDENT_ALERT
from monitor.store import rows
from monitor.store.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

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


async def enqueue_decided(
    connection: AsyncConnection, told: Sequence[Mapping[str, Any]], sinks: Collection[str]
) -> None:
    """Queue what was decided: a firing for each of ``sinks``, an end for the sinks that have the firing."""
    ends = [each["alert_id"] for each in told if each["state"] == AlertState.RESOLVED]
    heard: dict[UUID, list[str]] = {}
    if ends:
        theirs = rows.among(outbox.c.alert_id, ends, connection.dialect)
        found = select(outbox.c.alert_id, outbox.c.sink).where(theirs, outbox.c.state == AlertState.FIRING.value)
        for row in await connection.execute(found.distinct().order_by(outbox.c.sink)):
            heard.setdefault(row.alert_id, []).append(row.sink)
    queued = [{**each, "sink": sink, "attempts": 0} for each, sink in addressed(told, sinks, heard)]
    if queued:
        await connection.execute(insert(outbox), queued)


def addressed(
    told: Sequence[Mapping[str, Any]], sinks: Collection[str], heard: Mapping[UUID, Sequence[str]]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield who is sent what, in order; ``heard`` are the sinks that have the firing of an alert.

    Whoever decides need not know all sinks: an end goes to those that have the firing, whatever the configuration of
    the process that decides, and to no other.
    """
    known = {alert_id: dict.fromkeys(names) for alert_id, names in heard.items()}
    for each in told:
        names = known.setdefault(each["alert_id"], {})
        if each["state"] == AlertState.FIRING:
            names.update(dict.fromkeys(sinks))
            yield from ((each, sink) for sink in sinks)
        else:
            yield from ((each, sink) for sink in names)


async def enqueue_ends_of_erased(connection: AsyncConnection, member: int, target: str, erased_at: datetime) -> None:
    """Queue the ends of a user's alerts for the sinks that have their firing but not their end.

    What is being sent right now may have arrived, so its end is sent too. The rows name no user any more.
    """
    firing, ended = outbox.c.state == AlertState.FIRING.value, outbox.c.state == AlertState.RESOLVED.value
    arrived = outbox.c.written_at.is_not(None)
    heard = and_(firing, arrived | outbox.c.lease.is_not(None))
    found = (
        select(outbox.c.alert_id, outbox.c.sink, func.max(case((heard, outbox.c.id))).label("last"))
        .where(outbox.c.member == member)
        .group_by(outbox.c.alert_id, outbox.c.sink)
        .having(func.max(case((heard, 1), else_=0)) == 1, func.max(case((and_(ended, arrived), 1), else_=0)) == 0)
        .subquery()
    )
    asked = select(outbox).join(found, outbox.c.id == found.c.last).order_by(outbox.c.id)
    ends = [
        of_erased(row.alert_id, target, row.payload, row.updates, erased_at) | {"sink": row.sink, "attempts": 0}
        for row in await connection.execute(asked)
    ]
    if ends:
        await connection.execute(insert(outbox), ends)


def of_erased(
    alert_id: UUID, target: str, fired: Mapping[str, Any], updates: int, erased_at: datetime
) -> dict[str, Any]:
    """Return the notice that ends an alert of an erased user."""
    return {
        "member": None,
        "event": CONNECTION_ALERT,
        "alert_id": alert_id,
        "state": AlertState.RESOLVED.value,
        "updates": updates,
        "payload": erased_payload(alert_id, target, erased_at, fired),
        "created_at": erased_at,
    }


def of_alert(member: int, each: Decision) -> dict[str, Any]:
    """Return the notice of a step in an alert's life."""
    return {
        "member": member,
        "event": CONNECTION_ALERT,
        "alert_id": each.alert.id,
        "state": each.state.value,
        "updates": each.alert.updates,
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

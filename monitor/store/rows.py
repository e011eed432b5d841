"""Between rows and the core's values, and how many rows are named in one statement."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, BigInteger, Uuid, any_, bindparam, cast, func, select

from monitor.core.alerting import Alert, AlertKind, AlertState, Slot
from monitor.core.incidents import Cause, Incident, WaveKey
from monitor.core.judge import NO_DOUBTS, Doubts
from monitor.core.model import UNKNOWN_STATUS, Connection, Kind, Transition, User, plausible_time
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Column, ColumnElement, Dialect, Select

    from monitor.core.alerting import Decision
    from monitor.core.incidents import IncidentDecision

Record = Any
"""A row of whatever was selected; its columns are attributes."""
MOMENTS = ("created_on", "errored_at")


def among(column: Column[Any], values: Collection[Any], dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that ``column`` is one of ``values``: one parameter, however many there are."""
    if dialect.name == "sqlite":
        named = json.dumps([each.hex if isinstance(each, UUID) else each for each in values])
        return column.in_(select(func.json_each(named).table_valued("value").c.value))
    kind = Uuid() if isinstance(column.type, Uuid) else BigInteger()
    return column == any_(cast(bindparam(None, list(values), type_=ARRAY(kind)), ARRAY(kind)))


def once(column: Column[Any], found: Select[Any], dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that ``column`` is one of what ``found`` selects, which is run once and looked up by index.

    A plain subquery may become a join, which reads the table through, or be run again, which locks more than its limit.
    """
    return column.in_(found) if dialect.name == "sqlite" else column == any_(func.array(found.scalar_subquery()))


def connection_row(connection: Connection) -> dict[str, Any]:
    """Return the columns of a connection."""
    return asdict(connection) | {"resources": dict(connection.resources)}


def connection(row: Record) -> Connection:
    """Return the connection that a row holds."""
    return Connection(
        provider=row.provider,
        status=row.status,
        created_on=row.created_on,
        error_type=row.error_type,
        error_message=row.error_message,
        errored_at=row.errored_at,
        external_user_id=row.external_user_id,
        resources=row.resources,
    )


def connection_json(connection: Connection) -> dict[str, Any]:
    """Return a connection as JSON, to be rebuilt exactly."""
    row = connection_row(connection)
    return row | {name: row[name] and row[name].isoformat() for name in MOMENTS}


def connection_of_json(data: Mapping[str, Any]) -> Connection:
    """Return the connection that :func:`connection_json` wrote."""
    # Older releases stored whatever date the vendor sent.
    moments = {name: plausible_time(datetime.fromisoformat(data[name])) if data[name] else None for name in MOMENTS}
    return Connection(**{**data, **moments})


def doubts(row: Record) -> Doubts:
    """Return the doubts that a user's row holds."""
    return NO_DOUBTS if row.doubts is None else msgspec.convert(row.doubts, Doubts)


def transition_row(key: int, ordinal: int, each: Transition) -> dict[str, Any]:
    """Return the columns of a transition."""
    row = asdict(each) | {"member": key, "ordinal": ordinal, "kind": each.kind.value}
    del row["target"], row["user_id"]
    return row


def transition(row: Record) -> Transition:
    """Return the transition that a row holds, joined with its user and target."""
    return Transition(
        id=row.id,
        target=row.target,
        user_id=row.user_id,
        provider=row.provider,
        kind=Kind(row.kind),
        resource=row.resource,
        previous_status=row.previous_status,
        status=row.status,
        previous_error_type=row.previous_error_type,
        error_type=row.error_type,
        error_message=row.error_message,
        errored_at=row.errored_at,
        previous_observed_at=row.previous_observed_at,
        observed_at=row.observed_at,
        baseline=row.baseline,
    )


def alert_row(key: int, target_id: int, decision: Decision) -> dict[str, Any]:
    """Return the columns of an alert after a decision."""
    alert = decision.alert
    over = not alert.is_open
    return {
        "id": alert.id,
        "member": key,
        "target_id": target_id,
        "kind": _kind_column(alert.kind),
        "provider": alert.slot.provider,
        "resource": alert.slot.resource,
        "severity": alert.severity.value,
        "status": alert.status,
        "error_type": alert.error_type,
        "error_message": alert.error_message,
        "errored_at": alert.errored_at,
        "state": alert.state.value,
        "began_at": alert.began_at,
        "began_by": alert.began_by,
        "confirmed_at": alert.confirmed_at,
        "due_at": alert.due_at,
        "fired_at": alert.fired_at,
        "fired_reason": decision.reason if decision.told and not over and not decision.is_renewed else None,
        "incident_id": alert.incident_id,
        "resolved_at": decision.decided_at if over else None,
        "resolved_by": decision.transition.id if over and decision.transition else None,
        "reason": decision.reason,
        "updates": alert.updates,
    }


def alert(row: Record) -> Alert:
    """Return the alert that a row holds, joined with its user and target."""
    return Alert(
        id=row.id,
        user=User(target=row.target, user_id=row.user_id),
        slot=Slot(row.provider, row.resource),
        kind=_alert_kind(row),
        severity=Severity(row.severity),
        state=AlertState(row.state),
        status=row.status,
        error_type=row.error_type,
        error_message=row.error_message,
        errored_at=row.errored_at,
        began_at=row.began_at,
        began_by=row.began_by,
        confirmed_at=row.confirmed_at,
        due_at=row.due_at,
        fired_at=row.fired_at,
        incident_id=row.incident_id,
        updates=row.updates,
    )


def _kind_column(kind: AlertKind) -> str:
    """Return how a kind is stored: as one that a replica of the release before can read, too.

    For such a replica an alert about an unknown status is one about an error with this error type.
    """
    return (AlertKind.ERROR if kind is AlertKind.UNKNOWN_STATUS else kind).value


def _alert_kind(row: Record) -> AlertKind:
    kind = AlertKind(row.kind)
    return AlertKind.UNKNOWN_STATUS if kind is AlertKind.ERROR and row.error_type == UNKNOWN_STATUS else kind


def incident_row(target_id: int, decision: IncidentDecision) -> dict[str, Any]:
    """Return the columns of an incident after a decision."""
    incident = decision.incident
    return {
        "id": incident.id,
        "target_id": target_id,
        "provider": incident.key.provider,
        "error_type": incident.key.error_type,
        "severity": incident.severity.value,
        "cause": incident.cause.value,
        "state": incident.state.value,
        "since": incident.since,
        "opened_at": incident.opened_at,
        "users": incident.users,
        "share": incident.share,
        "told_users": incident.told_users,
        "updates": incident.updates,
        "resolved_at": incident.resolved_at,
        "reason": decision.reason,
    }


def incident(row: Record, figures: Record, connections: int) -> Incident:
    """Return the incident that a row holds, joined with its target, with its members' figures of now."""
    users = max(row.users, figures.users or 0)
    return Incident(
        id=row.id,
        key=WaveKey(row.target, row.provider, row.error_type),
        severity=Severity(row.severity),
        cause=Cause(row.cause),
        state=AlertState(row.state),
        since=row.since,
        opened_at=row.opened_at,
        users=users,
        share=min(1.0, users / connections) if connections else row.share,
        told_users=row.told_users,
        broken=figures.broken or 0,
        joined_at=figures.joined_at or row.opened_at,
        updates=row.updates,
        resolved_at=row.resolved_at,
    )

"""Between rows and the core's values, and how many rows are named in one statement."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Uuid, any_, bindparam, cast, func, select

from monitor.core.alerting import Alert, Severity
from monitor.core.model import Connection, Kind, Transition

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Column, ColumnElement, Dialect, Select

    from monitor.core.alerting import Decision

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
    moments = {name: datetime.fromisoformat(data[name]) if data[name] else None for name in MOMENTS}
    return Connection(**{**data, **moments})


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


def alert_row(key: int, decision: Decision) -> dict[str, Any]:
    """Return the columns of an alert that fires."""
    alert = decision.alert
    return {
        "id": alert.id,
        "member": key,
        "provider": alert.provider,
        "severity": alert.severity.value,
        "error_type": alert.error_type,
        "error_message": alert.error_message,
        "errored_at": alert.errored_at,
        "state": decision.state.value,
        "fired_at": alert.fired_at,
        "fired_by": alert.fired_by,
        "reason": decision.reason,
    }


def alert(row: Record) -> Alert:
    """Return the alert that a row holds, joined with its user and target."""
    return Alert(
        id=row.id,
        target=row.target,
        user_id=row.user_id,
        provider=row.provider,
        severity=Severity(row.severity),
        error_type=row.error_type,
        error_message=row.error_message,
        errored_at=row.errored_at,
        fired_at=row.fired_at,
        fired_by=row.fired_by,
    )

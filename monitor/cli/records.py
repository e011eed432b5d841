"""Values of the domain as the objects of ``--json``: keys in the contract's order, null never left out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from monitor.core.model import Intent, Presence

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from monitor.core.model import Connection, Transition
    from monitor.ports import AlertView, ConnectionView, IncidentView, Member, PastSnapshot


def transition(each: Transition) -> dict[str, Any]:
    """Return the public form of a transition (contract, section 6)."""
    return {field.name: getattr(each, field.name) for field in fields(each)}


def member(each: Member) -> dict[str, Any]:
    """Return one user of the cohort."""
    return {
        "target": each.target,
        "user_id": each.user_id,
        "client_user_id": each.client_user_id,
        "state": member_state(each),
        "reason": each.reason,
        "registered_at": each.registered_at,
        "observed_at": each.observed_at,
        "next_poll_at": each.next_poll_at if is_polled(each) else None,
        "failures": each.failures,
    }


def member_state(each: Member) -> str:
    """Return ``active``, ``paused``, ``removed``, ``gone`` or ``invalid``; what a person decided comes first."""
    if each.intent is not Intent.ACTIVE:
        return each.intent.value
    return "active" if each.presence is Presence.PRESENT else each.presence.value


def is_polled(each: Member) -> bool:
    """Return whether a user is polled at all, and so has a time at which it is due."""
    return each.intent is Intent.ACTIVE


def connection(each: ConnectionView) -> dict[str, Any]:
    """Return one current connection."""
    return {
        "target": each.target,
        "user_id": each.user_id,
        "provider": each.connection.provider,
        "status": each.connection.status,
        "since": each.since,
        "first_seen_at": each.first_seen_at,
        "observed_at": each.observed_at,
        "created_on": each.connection.created_on,
        "error_type": each.connection.error_type,
        "error_message": each.connection.error_message,
        "errored_at": each.connection.errored_at,
        "resources": dict(each.connection.resources),
    }


def snapshot(target: str, user_id: UUID, at: datetime, stood: PastSnapshot) -> dict[str, Any]:
    """Return what a user's connections were at a time."""
    return {
        "user_id": user_id,
        "target": target,
        "at": at,
        "first_observed_at": stood.first_observed_at,
        "last_observed_at": stood.last_observed_at,
        "gone": stood.gone,
        "connections": [_row(each) for each in stood.connections],
    }


def _row(each: Connection) -> dict[str, Any]:
    return {field.name: getattr(each, field.name) for field in fields(each)} | {"resources": dict(each.resources)}


def alert(each: AlertView) -> dict[str, Any]:
    """Return one alert as it is kept."""
    raised = each.alert
    return {
        "alert_id": raised.id,
        "state": raised.state,
        "severity": raised.severity,
        "kind": raised.kind,
        "target": raised.user.target,
        "user_id": raised.user.user_id,
        "provider": raised.provider or None,
        "resource": raised.slot.resource or None,
        "status": raised.status,
        "error_type": raised.error_type,
        "error_message": raised.error_message,
        "errored_at": raised.errored_at,
        "began_at": raised.began_at,
        "confirmed_at": raised.confirmed_at,
        "due_at": raised.due_at,
        "fired_at": raised.fired_at,
        "fired_reason": each.fired_reason,
        "resolved_at": each.resolved_at,
        "reason": each.reason,
        "incident_id": raised.incident_id,
    }


def incident(each: IncidentView) -> dict[str, Any]:
    """Return one incident as it is kept."""
    wave = each.incident
    return {
        "incident_id": wave.id,
        "state": wave.state,
        "severity": wave.severity,
        "cause": wave.cause,
        "target": wave.key.target,
        "provider": wave.key.provider,
        "error_type": wave.key.error_type,
        "since": wave.since,
        "opened_at": wave.opened_at,
        "users": wave.users,
        "share": wave.share,
        "broken": wave.broken,
        "updates": wave.updates,
        "resolved_at": wave.resolved_at,
        "reason": each.reason,
    }

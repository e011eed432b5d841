"""What an alert says to a person: its summary, its remedy, and its line as data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from monitor.core.alerting import NOW_NONE, AlertKind, AlertState
from monitor.core.incidents import Cause, cause_of
from monitor.core.model import CONNECTED, ERROR, UNKNOWN_STATUS, UNSPECIFIED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import Decision
    from monitor.core.incidents import IncidentDecision

SCHEMA: Final = 1
LONGEST_TEXT: Final = 500
JOINED: Final = "it turned out to be a member of an incident"

REMEDIES: Final[Mapping[str, str]] = {
    "token_refresh_failed": "Ask the user to link this provider again. If many users are hit at once, check the team's "
    "OAuth application with the provider first.",
    "webhook_registration_failed": "Nothing the user can do: check the team's settings for this provider, then write "
    "to Junction's support.",
    "user_not_found": "The provider no longer knows the account. Ask the user to link this provider again.",
    "deregistered_per_provider": "The user revoked access at the provider. Ask for a new link only if it is wanted.",
    "required_scopes_not_granted": "Ask the user to link this provider again and to grant every permission asked for.",
    "provider_credential_error": "Ask the user to link again with the provider's current user name and password.",
    "provider_password_expired": "Ask the user to change the password with the provider, then to link it again.",
    UNKNOWN_STATUS: "Nothing the user can do: look the status up in Junction's documentation or ask Junction's "
    "support, then give it a severity of its own under alerts.statuses.",
    "unknown": "Look the user up in Junction's dashboard; if a new link does not help, write to Junction's support.",
}
OTHERWISE: Final = REMEDIES["unknown"]
INCIDENT_REMEDIES: Final[Mapping[Cause, str]] = {
    Cause.PROVIDER: "Do not ask users one by one yet: look at the provider's status page and at the team's OAuth "
    "application there, then at Junction's status page.",
    Cause.JUNCTION: "Nothing users can do: look at Junction's status page, then write to Junction's support.",
}

FIRED: Final = "fired"
"""Beside the data of an erased user's alert: by which words it fired."""
LABELLED: Final = ("severity", "target", "provider", "error_type", "kind", "cause", "alert_id", "observed_at")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean(text: str | None) -> str | None:
    """Return vendor text fit for a log line: control characters become spaces, cut at 500 characters."""
    return None if text is None else _CONTROL.sub(" ", text).strip()[:LONGEST_TEXT]


def remedy(error_type: str | None) -> str:
    """Return what to do about an error of this type, in one or two sentences."""
    return REMEDIES.get(error_type or UNSPECIFIED, OTHERWISE)


def payload(decision: Decision) -> dict[str, Any]:
    """Return the data of one ``connection.alert`` line (contract, section 7), JSON types only.

    The error fields are those of the alert, also when it resolves; status, kind and times are those of the
    transition that fired or resolved it, null where time passed or a person took the user out of the cohort.
    """
    alert, cause = decision.alert, decision.transition
    return {
        "schema": SCHEMA,
        "alert_id": str(alert.id),
        "state": decision.state.value,
        "severity": alert.severity.value,
        "target": alert.user.target,
        "user_id": str(alert.user.user_id),
        "provider": clean(alert.provider) or None,
        "kind": _kind(decision),
        "previous_status": clean(cause.previous_status) if cause else None,
        "status": clean(cause.status if cause else alert.status),
        "error_type": clean(alert.error_type),
        "error_message": clean(alert.error_message),
        "errored_at": timestamp(alert.errored_at),
        "observed_at": timestamp(cause.observed_at if cause else decision.decided_at),
        "transition_id": str(cause.id) if cause else None,
        "incident_id": str(alert.incident_id) if alert.incident_id else None,
        "summary": summary(decision),
        "remedy": remedy(alert.error_type),
        "cause": cause_of(alert.error_type).value,
        "resource": clean(alert.slot.resource) or None,
        "updates": alert.updates,
    }


def erased_payload(alert_id: UUID, target: str, erased_at: datetime, fired: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of the ``connection.alert`` line that ends an erased user's alert: nothing about the user.

    ``fired`` is what was sent when the alert fired. Its words that name no user are kept beside the data, for a sink
    that knows an alert by them; no sink sends them as data.
    """
    kept = {"schema": SCHEMA, "alert_id": str(alert_id), "state": AlertState.RESOLVED.value, "target": target}
    kept |= {"observed_at": timestamp(erased_at), FIRED: {name: fired.get(name) for name in LABELLED}}
    return dict.fromkeys(fired) | kept


def incident_payload(decision: IncidentDecision) -> dict[str, Any]:
    """Return the data of one ``incident.alert`` line, JSON types only; nothing in it names a user."""
    incident = decision.incident
    return {
        "schema": SCHEMA,
        "alert_id": str(incident.id),
        "state": incident.state.value,
        "severity": incident.severity.value,
        "target": incident.key.target,
        "provider": clean(incident.key.provider),
        "error_type": clean(incident.key.error_type),
        "cause": incident.cause.value,
        "users": incident.users,
        "share": round(incident.share, 4),
        "broken": incident.broken,
        "since": timestamp(incident.since),
        "observed_at": timestamp(decision.decided_at),
        "updates": incident.updates,
        "summary": incident_summary(decision),
        "remedy": INCIDENT_REMEDIES[incident.cause],
    }


def incident_summary(decision: IncidentDecision) -> str:
    """Return one sentence for a person."""
    incident = decision.incident
    name, error = clean(incident.key.provider), clean(incident.key.error_type)
    whose = "Junction" if incident.cause is Cause.JUNCTION else "the provider"
    hit = f"{incident.users} users ({incident.share:.0%} of {name} connections)"
    if incident.state is AlertState.RESOLVED:
        return f"{name} incident is over: {error} hit {hit}; {decision.reason}."
    if decision.previous_severity is not None:
        return f"{name} incident: {decision.reason}; {error} has hit {hit}."
    if decision.was is None:
        return f"{name} connections of {hit} went into {error} at about the same time: the fault lies with {whose}."
    return f"{name} incident grows: {error} has hit {hit}."


def summary(decision: Decision) -> str:
    """Return one sentence for a person. It names no user: who that is stands in ``user_id``, which may be hashed."""
    match decision.alert.kind:
        case AlertKind.UNSTABLE:
            return _unstable(decision)
        case AlertKind.RESOURCE_LOST:
            return _resource(decision)
        case AlertKind.UNKNOWN_STATUS:
            return _unknown_status(decision)
        case AlertKind.USER_GONE:
            return _user_gone(decision)
    return _began(decision) if decision.state is AlertState.FIRING else _ended(decision)


def timestamp(moment: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with ``Z``, None for None."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _kind(decision: Decision) -> str | None:
    if decision.alert.kind in {AlertKind.UNSTABLE, AlertKind.UNKNOWN_STATUS}:
        return decision.alert.kind.value
    return decision.transition.kind.value if decision.transition else None


def _resource(decision: Decision) -> str:
    name, resource = clean(decision.alert.provider), clean(decision.alert.slot.resource)
    if decision.state is AlertState.FIRING:
        return f"{name} connection no longer gives {resource}."
    return f"{name} connection gives {resource} again, or is not expected to: {decision.reason}."


def _user_gone(decision: Decision) -> str:
    if decision.state is AlertState.FIRING:
        return "Junction no longer knows the user."
    return f"The user is no longer gone: {decision.reason}."


def _unstable(decision: Decision) -> str:
    name = clean(decision.alert.provider)
    if decision.state is AlertState.FIRING:
        now = clean(decision.alert.status) or "gone"
        return f"{name} connection is unstable: {decision.reason}; it is {now} now."
    return f"{name} connection is no longer unstable: {clean(decision.reason)}."


def _unknown_status(decision: Decision) -> str:
    name, status = clean(decision.alert.provider), clean(decision.alert.status) or "gone"
    if decision.state is AlertState.FIRING:
        return f"{name} connection has the status {status}, which is not a known one."
    if decision.transition is None:
        return f"{name} connection no longer has an alert about its status {status}: {decision.reason}."
    ending = "it is connected" if decision.transition.status == CONNECTED else _ending(decision)
    return f"{name} connection no longer has an unknown status: {ending}."


def _began(decision: Decision) -> str:
    alert, cause = decision.alert, decision.transition
    name, error = clean(alert.provider), clean(alert.error_type) or UNSPECIFIED
    if decision.is_renewed or cause is None or cause.status != ERROR:
        return f"{name} connection is in error: {error}; {decision.reason}."
    was = clean(cause.previous_status)
    before = "when it was first seen" if was is None else f"after it was {was}"
    if was == ERROR:
        before = f"after {clean(cause.previous_error_type) or UNSPECIFIED}"
    return f"{name} connection is in error: {error}, {before}."


def _ended(decision: Decision) -> str:
    name, error = clean(decision.alert.provider), clean(decision.alert.error_type) or UNSPECIFIED
    if decision.reason == NOW_NONE:
        return f"{name} connection is still in error {error}, but {decision.reason}."
    return f"{name} connection is no longer in error {error}: {_ending(decision)}."


def _ending(decision: Decision) -> str:
    cause = decision.transition
    if cause is None:
        return decision.reason
    return {
        "recovered": "it is connected again",
        "disappeared": "it was removed",
        "user_gone": "its user is gone",
        "error_changed": f"the error is now {clean(cause.error_type) or UNSPECIFIED}",
    }.get(cause.kind, f"its status is now {clean(cause.status)}")

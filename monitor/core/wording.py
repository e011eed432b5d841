"""What an alert says to a person: its summary, its remedy, and its line as data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from monitor.core.alerting import AlertState
from monitor.core.model import UNSPECIFIED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.alerting import Decision

SCHEMA: Final = 1
LONGEST_TEXT: Final = 500

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
    "unknown": "Look the user up in Junction's dashboard; if a new link does not help, write to Junction's support.",
}
OTHERWISE: Final = REMEDIES["unknown"]

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
    transition that fired or resolved it, null where a person took the user out of the cohort.
    """
    alert, cause = decision.alert, decision.transition
    return {
        "schema": SCHEMA,
        "alert_id": str(alert.id),
        "state": decision.state.value,
        "severity": alert.severity.value,
        "target": alert.target,
        "user_id": str(alert.user_id),
        "provider": clean(alert.provider),
        "kind": cause.kind.value if cause else None,
        "previous_status": clean(cause.previous_status) if cause else None,
        "status": clean(cause.status) if cause else None,
        "error_type": clean(alert.error_type),
        "error_message": clean(alert.error_message),
        "errored_at": timestamp(alert.errored_at),
        "observed_at": timestamp(cause.observed_at if cause else decision.decided_at),
        "transition_id": str(cause.id) if cause else None,
        "incident_id": None,
        "summary": summary(decision),
        "remedy": remedy(alert.error_type),
    }


def summary(decision: Decision) -> str:
    """Return one sentence for a person. It names no user: who that is stands in ``user_id``, which may be hashed."""
    alert, cause = decision.alert, decision.transition
    name, error = clean(alert.provider), clean(alert.error_type) or UNSPECIFIED
    if decision.state is AlertState.FIRING and cause is not None:
        was = clean(cause.previous_status)
        before = "when it was first seen" if was is None else f"after it was {was}"
        if was == "error":
            before = f"after {clean(cause.previous_error_type) or UNSPECIFIED}"
        return f"{name} connection is in error: {error}, {before}."
    return f"{name} connection is no longer in error {error}: {_ending(decision)}."


def timestamp(moment: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with ``Z``, None for None."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


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

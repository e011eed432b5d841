"""A changed policy on alerts that are open: they take the severity that they would begin with now.

A higher severity is notified, a lower one is only stored, and with ``none`` the alert ends. Applying the same policy
again changes nothing, so every replica may do it when it starts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.core.alerting import NOW_NONE, AlertKind, AlertState, Decision
from monitor.core.evaluation import Outcome
from monitor.core.incidents import IncidentDecision
from monitor.core.model import ERROR, UNKNOWN_STATUS
from monitor.core.policy import Severity
from monitor.core.tally import Count, Key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from monitor.core.alerting import Alert
    from monitor.core.evaluation import Docket
    from monitor.core.incidents import Incident
    from monitor.core.model import Transition
    from monitor.core.policy import Policy


def apply_policy(docket: Docket, policy: Policy, now: datetime) -> Outcome:
    """Return what ``policy`` changes about the open alerts and incidents of ``docket``."""
    steps = (_step(each, docket.begun.get(each.began_by), policy, now) for each in docket.standing)
    incidents = (_incident_step(each, policy, now) for each in docket.incidents)
    return Outcome(
        decisions=tuple(each for each in steps if each is not None),
        incidents=tuple(each for each in incidents if each is not None),
    )


def severity_counts(decisions: Iterable[Decision]) -> Counter[Key]:
    """Count what changed severities move between the severities of firing alerts."""
    counts: Counter[Key] = Counter()
    for each in decisions:
        if each.previous_severity is not None and each.was is AlertState.FIRING:
            target, provider = each.alert.user.target, each.alert.provider
            counts[Key(target, Count.ALERTS, provider, each.previous_severity)] -= 1
            counts[Key(target, Count.ALERTS, provider, each.alert.severity)] += 1
    return counts


def _step(alert: Alert, begun: Transition | None, policy: Policy, now: datetime) -> Decision | None:
    wanted = _severity(alert, begun, policy)
    if wanted is Severity.NONE:
        # What nobody was notified of needs no end either.
        over = AlertState.RESOLVED if alert.state is AlertState.FIRING else AlertState.WITHDRAWN
        ended = replace(alert, state=over, due_at=None)
        return Decision(alert=ended, was=alert.state, transition=None, decided_at=now, reason=NOW_NONE)
    if wanted is alert.severity or alert.incident_id is not None:
        return None
    changed = Decision(
        alert=replace(alert, severity=wanted),
        was=alert.state,
        transition=None,
        decided_at=now,
        reason=f"its severity is now {wanted}",
        previous_severity=alert.severity,
    )
    if not changed.is_renewed:
        return changed
    return replace(changed, alert=replace(changed.alert, updates=alert.updates + 1), transition=begun)


def _severity(alert: Alert, begun: Transition | None, policy: Policy) -> Severity:
    """Return the severity with which an alert would begin now.

    An unstable connection and one in an unknown status began with the word of their first transition, whatever their
    word is by now; where that transition is not known any more, the severity stays.
    """
    match alert.kind:
        case AlertKind.ERROR:
            return policy.severity(alert.error_type, alert.provider)
        case AlertKind.RESOURCE_LOST:
            return policy.resource_lost
        case AlertKind.USER_GONE:
            return policy.user_gone
        case AlertKind.UNKNOWN_STATUS:
            return policy.status_severity(begun.status if begun else alert.status)
    if begun is None or begun.status != ERROR:
        return alert.severity
    return policy.severity(begun.error_type, alert.provider)


def _incident_step(incident: Incident, policy: Policy, now: datetime) -> IncidentDecision | None:
    wanted = _incident_severity(incident, policy)
    if wanted is incident.severity:
        return None
    if wanted is Severity.NONE:
        over = replace(incident, state=AlertState.RESOLVED, resolved_at=now)
        return IncidentDecision(incident=over, was=incident.state, decided_at=now, reason=NOW_NONE)
    changed = replace(incident, severity=wanted)
    if wanted.is_higher_than(incident.severity):
        changed = replace(changed, updates=incident.updates + 1)
    return IncidentDecision(
        incident=changed,
        was=incident.state,
        decided_at=now,
        reason=f"its severity is now {wanted}",
        previous_severity=incident.severity,
    )


def _incident_severity(incident: Incident, policy: Policy) -> Severity:
    """Return the severity with which an incident would open now; that of unknown statuses depends on the status."""
    if incident.key.error_type == UNKNOWN_STATUS:
        return incident.severity if policy.raises_unknown_statuses else Severity.NONE
    return policy.severity(incident.key.error_type, incident.key.provider).louder

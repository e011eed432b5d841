"""What must hold of every verdict and of every step of every alert and incident, whatever led to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from monitor.core.alerting import GROUPED, Alert, AlertKind, AlertState, Decision
from monitor.core.model import ERROR, UNKNOWN_STATUS, Kind, Outcome, Presence, Transition
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from monitor.core import evaluation
    from monitor.core.evaluation import Docket
    from monitor.core.incidents import IncidentDecision
    from monitor.core.judge import Claim, Verdict
    from monitor.core.policy import Policy

REASONS: Final = (
    rf"({'|'.join(Kind)}) (begins|ends) it( unconfirmed)?",
    r"the user was removed from the cohort( unconfirmed)?",
    r"it is (new|over already|unstable still|a member of an incident)",
    r"it has lasted for [\d.e+-]+ s",
    r"it waits for others like it",
    r"others like it come",
    r"it was quiet for long enough, and is (in error \S+|removed|\S+)",
    r"it came to rest in (error|an unknown status)",
    r"the same error goes on",
    r"an unknown status ends nothing",
    r"the user was added again and the error had not ended",
    r"its severity is now (none|info|warning|critical)",
    r"\d+ transitions within [\d.]+ min",
)
INCIDENT_REASONS: Final = (
    r"\d+ users of \d+ connections within the window, usual are [\d.e+-]+",
    r"all of its members have healed",
    r"incidents are switched off",
    r"nobody joined for [\d.]+ (min|s); \d+ of its members are in error still",
    r"it grew from \d+ to \d+ users",
    r"its severity is now (none|info|warning|critical)",
)
"""Every reason that `monitor explain` may give."""


def of_outcome(docket: Docket, outcome: evaluation.Outcome, policy: Policy, now: datetime) -> None:
    """Check every step that was taken on a docket."""
    states = {each.id: each.state for each in docket.standing}
    severities = {each.id: each.severity for each in docket.standing}
    known = {each.transition.id: each.transition for each in docket.entries if each.transition} | dict(docket.begun)
    for each in outcome.decisions:
        assert each.was == states.get(each.alert.id), each
        if each.previous_severity is not None:
            assert each.previous_severity is severities[each.alert.id] is not each.alert.severity
        states[each.alert.id] = each.state
        _decision(each, known, policy, now)
    before = {each.id: each.state for each in docket.incidents}
    for step in outcome.incidents:
        assert step.was == before.get(step.incident.id)
        _incident(step, now)


def _decision(each: Decision, known: Mapping[UUID, Transition], policy: Policy, now: datetime) -> None:
    alert = each.alert
    assert each.decided_at == now
    assert any(re.fullmatch(known, each.reason) for known in REASONS), each.reason
    if each.transition is not None:
        assert each.transition in known.values()
        assert each.transition.user == alert.user
    if each.reason.startswith(tuple(Kind)):
        assert each.transition is not None
        assert each.reason.startswith(each.transition.kind)
    if each.reason.endswith(("begins it", "it is unstable still")):
        assert each.transition is not None
        assert alert.status == each.transition.status
    if each.told and each.state is AlertState.FIRING:
        assert alert.fired_at == now or each.is_renewed
        assert each.transition == known.get(alert.began_by)
    if not alert.is_open:
        assert alert.due_at is None
        assert alert.status == (alert.status if each.transition is None else each.transition.status) or not each.told
    if alert.kind is AlertKind.UNSTABLE:
        _unstable(each)
    assert alert.began_at <= alert.confirmed_at
    if alert.incident_id is not None:
        assert alert.severity is Severity.INFO
    elif each.was is None and alert.kind in GROUPED | {AlertKind.UNSTABLE}:
        _first_severity(alert, policy)


def _first_severity(alert: Alert, policy: Policy) -> None:
    if alert.kind is AlertKind.UNKNOWN_STATUS:
        assert alert.severity is policy.status_severity(alert.status)
        assert alert.error_type == UNKNOWN_STATUS
    elif alert.error_type != UNKNOWN_STATUS:
        assert alert.severity is policy.severity(alert.error_type, alert.provider)


def _unstable(each: Decision) -> None:
    alert, last = each.alert, each.transition
    assert alert.fired_at is not None
    if last is not None and alert.is_open:
        assert alert.status == last.status
        assert alert.due_at is not None
        if last.status == ERROR:
            assert alert.error_type == last.error_type
            assert alert.error_message == last.error_message
            assert alert.errored_at == last.errored_at


def _incident(step: IncidentDecision, now: datetime) -> None:
    incident = step.incident
    assert step.decided_at == now
    assert any(re.fullmatch(known, step.reason) for known in INCIDENT_REASONS), step.reason
    assert incident.opened_at <= now
    assert incident.since <= now
    if step.was is None:
        assert (incident.opened_at, incident.joined_at) == (now, now)
    assert incident.resolved_at == (now if incident.state is AlertState.RESOLVED else None)


def of_verdict(verdict: Verdict, claim: Claim, now: datetime) -> None:
    """Check what one poll came to."""
    assert verdict.claim == claim
    assert verdict.next_poll_at > now
    assert isinstance(verdict.presence, Presence)
    assert (verdict.observed_at is None) == (verdict.outcome not in {Outcome.CHANGED, Outcome.UNCHANGED})
    assert (verdict.failed_at is None) == (verdict.observed_at is not None)
    assert verdict.failed_at in {None, now}
    _doubts(verdict)
    if verdict.only_times:
        assert (verdict.change, +verdict.counts, verdict.reason) == (None, {}, None)
    for key in verdict.counts:
        assert all(isinstance(each, str) for each in (key.target, key.count, key.a, key.b, key.c)), key


def _doubts(verdict: Verdict) -> None:
    """Check what is not confirmed: only of users that are there, and noticed no later than it may be confirmed."""
    doubts = verdict.doubts
    named = [doubt for doubt in (doubts.not_found, doubts.invalid) if doubt is not None]
    for doubt in (*named, *doubts.connections.values()):
        assert doubt.since <= doubt.first
    if verdict.presence is not Presence.PRESENT:
        assert not doubts
    if doubts.connections:
        assert verdict.digest is None
    if verdict.observed_at is not None:
        assert not named
    if verdict.change is not None and verdict.change.connections is not None:
        assert doubts.connections.keys() <= verdict.change.connections.keys()

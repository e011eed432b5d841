"""What the policy makes of transitions, example by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from monitor.core.alerting import AlertState, Decision, Policy, Severity, decide, withdraw
from monitor.core.diff import depart, diff
from monitor.core.model import Connection
from tests.core.samples import (
    LATER,
    NOON,
    POLICY,
    USER,
    broken,
    connected,
    errored,
    firing,
    only,
    paused,
    snapshot,
    standing,
    state,
)

FIRING, RESOLVED = AlertState.FIRING, AlertState.RESOLVED
LOUD = Policy(severities={})


def decided(before: Connection | None, after: Connection | None, policy: Policy = LOUD) -> list[AlertState]:
    """Return the steps of alerts when ``before``, alerted on where it is broken, becomes ``after``."""
    rows = [[row] if row else [] for row in (before, after)]
    found = diff(state(*rows[0]), snapshot(*rows[1]), LATER)
    open_alerts = standing(*(row for row in rows[0] if row.in_error))
    return [each.state for each in decide(policy, open_alerts, found, LATER)]


@pytest.mark.parametrize("before", [None, connected(), paused()])
def test_an_error_fires(before: Connection | None) -> None:
    """Into ``error`` from anything, absence included."""
    assert decided(before, broken()) == [FIRING]


def test_an_alert_says_what_it_is_about() -> None:
    """The alert carries the error of the transition that fired it, and an id derived from that transition."""
    cause = errored()
    found = firing().alert
    assert (found.target, found.user_id, found.provider) == (USER.target, USER.user_id, "fitbit")
    assert (found.error_type, found.error_message, found.errored_at) == (
        "token_refresh_failed",
        broken().error_message,
        broken().errored_at,
    )
    assert (found.severity, found.fired_at, found.fired_by) == (Severity.WARNING, LATER, cause.id)
    assert found.id == UUID("6e26859e-4d54-5d85-8532-e0fd4ad5206d")


@pytest.mark.parametrize("after", [connected(), paused(), None, Connection(provider="fitbit", status="odd")])
def test_leaving_the_error_resolves(after: Connection | None) -> None:
    """Whatever takes a connection out of ``error`` ends its alert."""
    assert decided(broken(), after) == [RESOLVED]


def test_another_error_resolves_the_alert_and_fires_its_own() -> None:
    """A connection never has two open alerts: the old one ends before the new one begins."""
    assert decided(broken(), broken(error_type="user_not_found")) == [RESOLVED, FIRING]


def test_suppression_of_the_new_error_still_ends_the_old_alert() -> None:
    """An error of severity ``none`` raises nothing and resolves what it replaces."""
    assert decided(broken(), broken(error_type="unknown"), POLICY) == [RESOLVED]


def test_suppression_fires_nothing() -> None:
    """An error type of severity ``none`` has no alert."""
    assert decided(connected(), broken(error_type="unknown"), POLICY) == []


def test_an_alert_ends_even_where_the_policy_would_no_longer_raise_it() -> None:
    """Severities changed while the alert was open do not keep it open."""
    quiet = Policy(severities={}, otherwise=Severity.NONE)
    assert decided(broken(), connected(), quiet) == [RESOLVED]


def test_a_first_snapshot_fires_nothing() -> None:
    """A baseline shows old errors, not news."""
    found = diff(state(observed_at=None), snapshot(broken()), NOON)
    assert decide(LOUD, {}, found, NOON) == ()


def test_a_baseline_error_that_changes_fires() -> None:
    """What happens after the first snapshot is news, although nothing was open."""
    found = diff(state(broken()), snapshot(broken(error_type="user_not_found")), LATER)
    assert [each.state for each in decide(LOUD, {}, found, LATER)] == [FIRING]


def test_a_baseline_error_that_heals_resolves_nothing() -> None:
    """An alert that never fired never resolves."""
    assert decide(LOUD, {}, diff(state(broken()), snapshot(connected()), LATER), LATER) == ()


def test_a_lost_resource_leaves_the_alert_alone() -> None:
    """Resource kinds neither fire nor resolve, also beside an open alert of the same connection."""
    assert decided(broken(sleep="available"), broken(sleep="unavailable")) == []
    assert decided(connected(sleep="available"), connected(sleep="unavailable")) == []
    lost = diff(state(connected(sleep="available")), snapshot(connected(sleep="unavailable")), LATER)
    assert decide(LOUD, standing(broken()), lost, LATER) == ()


def test_a_gone_user_ends_all_its_alerts() -> None:
    """One transition resolves them, each by that transition."""
    gone = only(depart(state(broken(), broken("oura")), LATER))
    found = decide(LOUD, standing(broken(), broken("oura")), [gone], LATER)
    assert [(each.state, each.alert.provider) for each in found] == [(RESOLVED, "fitbit"), (RESOLVED, "oura")]
    assert {each.transition for each in found} == {gone}


def test_other_connections_keep_their_alerts() -> None:
    """An alert ends with its own connection's news only."""
    recovered = diff(state(broken(), broken("oura")), snapshot(connected(), broken("oura")), LATER)
    found = decide(LOUD, standing(broken(), broken("oura")), recovered, LATER)
    assert [each.alert.provider for each in found] == ["fitbit"]


def test_a_stale_alert_ends_when_its_connection_breaks_again() -> None:
    """Where an alert was left open against the rules, a new error still leaves one open, not two."""
    found = decide(LOUD, standing(broken()), [replace(errored(), id=UUID(int=7))], LATER)
    assert [each.state for each in found] == [RESOLVED, FIRING]


def test_each_decision_has_its_reason_and_time() -> None:
    """The reason names the kind of transition."""
    found = decide(LOUD, standing(broken()), diff(state(broken()), snapshot(connected()), LATER), LATER)
    assert [(each.reason, each.decided_at) for each in [firing(), *found]] == [
        ("errored fires", LATER),
        ("recovered ends it", LATER),
    ]


def test_a_person_can_end_alerts() -> None:
    """Taking a user out of the cohort resolves its alerts without a transition."""
    alert, at = firing().alert, LATER + timedelta(hours=1)
    assert withdraw([alert], at, "removed from the cohort") == (
        Decision(alert=alert, state=RESOLVED, transition=None, decided_at=at, reason="removed from the cohort"),
    )


@pytest.mark.parametrize(
    ("error_type", "severity"),
    [
        ("deregistered_per_provider", Severity.INFO),
        ("unknown", Severity.NONE),
        ("brand_new", Severity.CRITICAL),
        (None, Severity.WARNING),
        ("", Severity.WARNING),
    ],
)
def test_severity_follows_the_error_type(error_type: str | None, severity: Severity) -> None:
    """Configured types have theirs, others the fallback, and a missing type reads ``unspecified``."""
    policy = Policy(severities={**POLICY.severities, "unspecified": Severity.WARNING}, otherwise=Severity.CRITICAL)
    assert policy.severity(error_type) is severity


def test_the_fallback_is_a_warning() -> None:
    """An error type nobody has configured is told."""
    assert LOUD.severity("brand_new") is Severity.WARNING

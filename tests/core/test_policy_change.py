"""A changed policy on what is open: example by example, and its laws."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given

from monitor.core.alerting import Alert, AlertKind, AlertState
from monitor.core.evaluation import Docket
from monitor.core.incidents import Cause, Incident, WaveKey
from monitor.core.model import UNKNOWN_STATUS, Connection
from monitor.core.policy import Policy, Severity
from monitor.core.policy_change import apply_policy, severity_counts
from monitor.core.tally import of_alerts, of_decisions
from monitor.core.wording import incident_summary, summary
from tests.core import soundness
from tests.core.lives import lived, stories
from tests.core.samples import LATER, NOON, broken, connected
from tests.core.strategies import policies
from tests.core.test_alerting import FLAPPING, MINUTE, Story, flap

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from monitor.core.alerting import Decision
    from monitor.core.incidents import IncidentDecision
    from tests.core.desk import Desk
    from tests.core.lives import Answer

LOUD = Policy()
OPENED = Incident(
    id=UUID(int=1),
    key=WaveKey("acme_us", "fitbit", "token_refresh_failed"),
    severity=Severity.CRITICAL,
    cause=Cause.PROVIDER,
    state=AlertState.FIRING,
    since=NOON,
    opened_at=NOON,
    users=7,
    share=0.5,
    told_users=7,
    broken=7,
    joined_at=NOON,
)


def changed(desk: Desk, policy: Policy) -> list[Decision]:
    """Return what a policy changes about what is open."""
    docket = Docket(standing=list(desk.open.values()), begun=desk.begun)
    outcome = apply_policy(docket, policy, LATER)
    soundness.of_outcome(docket, outcome, policy, LATER)
    return list(outcome.decisions)


def one(story: Story, policy: Policy) -> Decision:
    """Return the one change."""
    (decision,) = changed(story.desk, policy)
    return decision


def of_incident(incident: Incident, policy: Policy) -> list[IncidentDecision]:
    """Return what a policy changes about an incident."""
    return list(apply_policy(Docket(incidents=[incident]), policy, LATER).incidents)


def broke(policy: Policy = LOUD, row: Connection | None = None) -> Story:
    """Return a story whose connection broke."""
    story = Story(policy, connected(sleep="available"))
    story.see(row or broken())
    return story


def test_a_higher_severity_is_notified_again_with_what_began_it() -> None:
    """A person reads what is wrong, and why that is said again."""
    found = one(broke(), Policy(otherwise=Severity.CRITICAL))
    assert (found.told, found.is_renewed, found.alert.updates) == (True, True, 1)
    assert found.transition is not None
    assert summary(found) == ("fitbit connection is in error: token_refresh_failed; its severity is now critical.")


def test_a_lower_severity_is_not_notified() -> None:
    """It is stored."""
    found = one(broke(), Policy(otherwise=Severity.INFO))
    assert (found.told, found.alert.severity, found.alert.updates) == (False, Severity.INFO, 0)


def test_a_severity_of_none_ends_an_alert_although_the_error_lasts() -> None:
    """And that is what a person reads."""
    found = one(broke(), Policy(otherwise=Severity.NONE))
    assert (found.state, found.told) == (AlertState.RESOLVED, True)
    assert summary(found) == ("fitbit connection is still in error token_refresh_failed, but its severity is now none.")


def test_what_nobody_heard_of_ends_in_silence() -> None:
    """An alert that still waits is withdrawn, or takes its severity along."""
    patient = Policy(confirm_for=60 * MINUTE)
    assert one(broke(patient), Policy(otherwise=Severity.NONE)).state is AlertState.WITHDRAWN
    raised = one(broke(patient), Policy(otherwise=Severity.CRITICAL))
    assert (raised.state, raised.told, raised.alert.severity) == (AlertState.PENDING, False, Severity.CRITICAL)


def test_a_member_of_an_incident_stays_quiet() -> None:
    """Its incident speaks for it; it ends with a severity of ``none`` all the same."""
    story = broke()
    (alert,) = story.desk.open.values()
    story.desk.open[alert.id] = replace(alert, severity=Severity.INFO, incident_id=alert.id)
    assert changed(story.desk, Policy(otherwise=Severity.CRITICAL)) == []
    docket = Docket(standing=list(story.desk.open.values()))
    assert [each.state for each in apply_policy(docket, Policy(otherwise=Severity.NONE), LATER).decisions] == [
        AlertState.RESOLVED
    ]


def test_an_unstable_connection_keeps_the_severity_of_the_error_that_it_began_with() -> None:
    """Where that is known; it ends where that error is not wanted any more."""
    story = Story(FLAPPING, connected())
    flap(story, 5)
    assert one(story, replace(FLAPPING, otherwise=Severity.CRITICAL)).is_renewed
    story.desk.begun.clear()
    assert changed(story.desk, replace(FLAPPING, otherwise=Severity.CRITICAL)) == []


def test_an_unknown_status_takes_the_severity_of_its_word() -> None:
    """Of the one that it began with, as far as that is known."""
    story = broke(row=Connection(provider="fitbit", status="ingesting"))
    assert one(story, Policy(statuses={"ingesting": Severity.CRITICAL})).alert.severity is Severity.CRITICAL
    story.desk.begun.clear()
    assert changed(story.desk, LOUD) == []


@pytest.mark.parametrize("kind", [AlertKind.RESOURCE_LOST, AlertKind.USER_GONE])
def test_other_kinds_take_their_severities(kind: AlertKind) -> None:
    """Which are off by default."""
    story = broke()
    (alert,) = story.desk.open.values()
    docket = Docket(standing=[replace(alert, kind=kind)])
    loud = Policy(resource_lost=Severity.CRITICAL, user_gone=Severity.CRITICAL)
    assert [each.alert.severity for each in apply_policy(docket, loud, LATER).decisions] == [Severity.CRITICAL]
    assert [each.state for each in apply_policy(docket, LOUD, LATER).decisions] == [AlertState.RESOLVED]


def test_an_incident_is_one_step_above_its_members() -> None:
    """A lower severity is stored, a higher one is told, none ends it."""
    (lower,) = of_incident(OPENED, Policy(otherwise=Severity.INFO))
    (higher,) = of_incident(lower.incident, LOUD)
    (over,) = of_incident(OPENED, Policy(otherwise=Severity.NONE))
    assert (lower.told, lower.incident.severity, lower.incident.updates) == (False, Severity.WARNING, 0)
    assert (higher.told, higher.incident.severity, higher.incident.updates) == (True, Severity.CRITICAL, 1)
    assert (over.told, over.incident.state) == (True, AlertState.RESOLVED)
    assert of_incident(OPENED, LOUD) == []
    assert incident_summary(higher).startswith("fitbit incident: its severity is now critical; ")


def test_an_incident_of_unknown_statuses_ends_where_none_of_them_is_wanted() -> None:
    """Its severity is that of the status that it began with, which it does not name."""
    odd = replace(OPENED, key=OPENED.key._replace(error_type=UNKNOWN_STATUS))
    assert of_incident(odd, Policy(otherwise=Severity.NONE)) == []
    assert [each.incident.state for each in of_incident(odd, Policy(unknown_status=Severity.NONE))] == [
        AlertState.RESOLVED
    ]


@given(policies, policies, stories)
def test_applying_a_policy_twice_is_applying_it_once(
    before: Policy, after: Policy, story: list[tuple[Answer, timedelta]]
) -> None:
    """Whatever was open, so that every replica may do it; and the counts agree with what is open then."""
    life = lived(before, story)
    docket = Docket(standing=list(life.desk.open.values()), begun=life.desk.begun)
    outcome = apply_policy(docket, after, LATER)
    soundness.of_outcome(docket, outcome, after, LATER)
    now_open = {each.id: each for each in docket.standing} | {each.alert.id: each.alert for each in outcome.decisions}
    left = [each for each in now_open.values() if each.is_open]
    assert apply_policy(replace(docket, standing=left), after, LATER).decisions == ()
    counts = of_alerts(_firing(docket.standing)) + severity_counts(outcome.decisions)
    counts.update(of_decisions(outcome.decisions))
    assert +counts == of_alerts(_firing(left))


@given(policies, stories)
def test_the_policy_that_was_in_force_changes_nothing(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """A mere restart is no news."""
    assert changed(lived(policy, story).desk, policy) == []


def _firing(alerts: Iterable[Alert]) -> list[Alert]:
    return [each for each in alerts if each.state is AlertState.FIRING]

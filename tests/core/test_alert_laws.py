"""The laws of the alert policy over whole lives."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given

from monitor.core.alerting import AlertState, Policy, Severity
from monitor.core.model import Kind
from tests.core.lives import Answer, lived, stories
from tests.core.strategies import policies

if TYPE_CHECKING:
    from uuid import UUID

Story = list[tuple[Answer, timedelta]]
LOUD = Policy(severities={})


@given(policies, stories)
def test_an_alert_resolves_at_most_once_and_never_before_it_fired(policy: Policy, story: Story) -> None:
    """Each alert's decisions are: firing, or firing and then resolved."""
    lives: dict[UUID, list[AlertState]] = {}
    for each in lived(policy, story).decisions:
        lives.setdefault(each.alert.id, []).append(each.state)
    whole = [AlertState.FIRING, AlertState.RESOLVED]
    assert all(states in (whole[:1], whole) for states in lives.values())


@given(policies, stories)
def test_a_connection_has_at_most_one_open_alert(policy: Policy, story: Story) -> None:
    """Counted along the decisions, a provider's open alerts never pass one."""
    standing: Counter[str] = Counter()
    for each in lived(policy, story).decisions:
        standing[each.alert.provider] += 1 if each.state is AlertState.FIRING else -1
        assert standing[each.alert.provider] in {0, 1}


@given(policies, stories)
def test_an_open_alert_is_about_the_error_its_connection_is_in(policy: Policy, story: Story) -> None:
    """No alert outlives its error, however quiet the policy; it names the error that stands."""
    life = lived(policy, story)
    for provider, alert in life.open_alerts.items():
        row = life.connections[provider]
        assert (row.status, row.error_type, row.errored_at) == ("error", alert.error_type, alert.errored_at)
        assert alert.severity is policy.severity(row.error_type) is not Severity.NONE


@given(stories)
def test_a_loud_policy_misses_no_error(story: Story) -> None:
    """Every error that is no baseline fires exactly once, by its own transition."""
    life = lived(LOUD, story)
    news = [each.id for each in life.transitions if each.kind in {Kind.ERRORED, Kind.ERROR_CHANGED}]
    baseline = {each.id for each in life.transitions if each.baseline}
    fired = [each.alert.fired_by for each in life.decisions if each.state is AlertState.FIRING]
    assert fired == [each for each in news if each not in baseline]


@given(policies, stories)
def test_suppression_changes_no_observation(policy: Policy, story: Story) -> None:
    """Transitions, connections and due times are the same under any policy."""
    quiet, loud = lived(policy, story), lived(LOUD, story)
    assert quiet.transitions == loud.transitions
    assert quiet.connections == loud.connections


@given(policies, stories)
def test_suppression_only_removes_whole_alerts(policy: Policy, story: Story) -> None:
    """What a policy decides is what a loud one decides, less the alerts whose severity is ``none``."""
    quiet, loud = lived(policy, story), lived(LOUD, story)
    kept = [
        (each.alert.id, each.state)
        for each in loud.decisions
        if policy.severity(each.alert.error_type) is not Severity.NONE
    ]
    assert [(each.alert.id, each.state) for each in quiet.decisions] == kept

"""The laws of the alert policy over whole lives."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given

from monitor.core.alerting import AlertKind, AlertState
from monitor.core.model import Kind
from monitor.core.policy import Policy, Severity
from tests.core.lives import Answer, lived, stories
from tests.core.strategies import policies

if TYPE_CHECKING:
    from uuid import UUID

    from monitor.core.alerting import Slot

Story = list[tuple[Answer, timedelta]]
LOUD = Policy()
P, F, R, W = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED, AlertState.WITHDRAWN
ERRORS = {Kind.ERRORED, Kind.ERROR_CHANGED}


@given(policies, stories)
def test_an_alert_resolves_at_most_once_and_never_before_it_fired(policy: Policy, story: Story) -> None:
    """People hear of each alert: nothing, that it fires, or that it fires and then that it resolves."""
    lives: dict[UUID, list[AlertState]] = {}
    for each in lived(policy, story).decisions:
        states = lives.setdefault(each.alert.id, [])
        if each.told:
            states.append(each.state)
    assert all(states in ([], [F], [F, R]) for states in lives.values())


@given(policies, stories)
def test_each_step_goes_on_from_the_last_one(policy: Policy, story: Story) -> None:
    """An alert goes from pending to withdrawn or firing, and from firing to resolved, and never back."""
    steps = {(None, P), (None, F), (P, P), (P, F), (P, W), (F, F), (F, R)}
    now: dict[UUID, AlertState] = {}
    for each in lived(policy, story).decisions:
        assert (now.get(each.alert.id), each.state) in steps
        assert each.was is now.get(each.alert.id)
        now[each.alert.id] = each.state


@given(policies, stories)
def test_a_slot_has_at_most_one_open_alert(policy: Policy, story: Story) -> None:
    """Counted along the decisions, no connection, resource or user ever has two."""
    standing: Counter[Slot] = Counter()
    for each in lived(policy, story).decisions:
        standing[each.alert.slot] += each.alert.is_open - (each.was in {P, F})
        assert standing[each.alert.slot] in {0, 1}


@given(policies, stories)
def test_an_open_alert_is_about_the_error_its_connection_is_in(policy: Policy, story: Story) -> None:
    """No alert outlives its error, however quiet the policy; it names the error that stands."""
    life = lived(policy, story)
    for alert in life.desk.open.values():
        if alert.kind is AlertKind.ERROR:
            row = life.connections[alert.provider]
            assert (row.status, row.error_type, row.errored_at) == ("error", alert.error_type, alert.errored_at)
            assert alert.severity is policy.severity(row.error_type, row.provider) is not Severity.NONE


@given(policies, stories)
def test_an_unstable_alert_knows_what_its_connection_is(policy: Policy, story: Story) -> None:
    """So that its end states the truth."""
    life = lived(policy, story)
    for alert in life.desk.open.values():
        if alert.kind is AlertKind.UNSTABLE:
            row = life.connections.get(alert.provider)
            assert alert.status == (row.status if row else None)


@given(policies, stories)
def test_every_error_that_stands_and_is_news_has_an_open_alert(policy: Policy, story: Story) -> None:
    """Nothing that is wanted is ever lost, flapping or not."""
    life = lived(policy, story)
    news: dict[str, bool] = {}
    for each in life.transitions:
        if each.kind is Kind.USER_GONE:
            news.clear()
        elif each.provider and each.resource is None:
            news[each.provider] = each.kind in ERRORS and not each.baseline
    wanted = {
        provider
        for provider, is_news in news.items()
        if is_news and policy.severity(life.connections[provider].error_type, provider) is not Severity.NONE
    }
    assert wanted <= {each.slot.provider for each in life.desk.open.values() if not each.slot.resource}


@given(stories)
def test_a_loud_policy_misses_no_error(story: Story) -> None:
    """Every error that is no baseline fires exactly once, by its own transition."""
    life = lived(LOUD, story)
    news = [each.id for each in life.transitions if each.kind in ERRORS and not each.baseline]
    fired = [each.alert.began_by for each in life.decisions if each.told and each.state is F]
    assert sorted(fired) == sorted(news)
    assert [each.transition and each.transition.id for each in life.decisions if each.told and each.state is F] == fired


@given(policies, stories)
def test_suppression_changes_no_observation(policy: Policy, story: Story) -> None:
    """Transitions and connections are the same under any policy."""
    quiet, loud = lived(policy, story), lived(LOUD, story)
    assert quiet.transitions == loud.transitions
    assert quiet.connections == loud.connections


@given(policies, stories)
def test_severities_only_remove_whole_alerts(policy: Policy, story: Story) -> None:
    """What one that differs in severities decides is what a loud one decides, less the alerts of severity ``none``."""
    plain = replace(LOUD, severities=policy.severities, otherwise=policy.otherwise)
    quiet, loud = lived(plain, story), lived(LOUD, story)
    kept = {
        (each.alert.id, each.state)
        for each in loud.decisions
        if plain.severity(each.alert.error_type) is not Severity.NONE
    }
    assert {(each.alert.id, each.state) for each in quiet.decisions} == kept

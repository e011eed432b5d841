"""The laws of the alert policy over whole lives."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerting import AlertKind, AlertState
from monitor.core.model import ERROR, UNKNOWN_STATUS, UNSPECIFIED, Kind, is_unknown_status
from monitor.core.policy import Flapping, Policy, Severity
from tests.core.lives import Answer, Life, lived, stories
from tests.core.samples import NOON, broken, connected, snapshot
from tests.core.strategies import policies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from monitor.core.alerting import Slot
    from monitor.core.model import Connection, Transition

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
    """No alert outlives its error, however quiet the policy; it names the error that is there, or was last known."""
    life = lived(policy, story)
    for alert in life.desk.open.values():
        if alert.kind is AlertKind.ERROR:
            row = life.connections[alert.provider]
            assert row.status == alert.status
            assert alert.severity is policy.severity(alert.error_type, row.provider) is not Severity.NONE
            if not is_unknown_status(row.status):
                assert (row.status, row.error_type, row.errored_at) == ("error", alert.error_type, alert.errored_at)


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
            if each.repeats_error:
                continue
            news[each.provider] = _is_new_fault(each)
    wanted = {
        provider
        for provider, is_news in news.items()
        if is_news and _severity(policy, life.connections[provider]) is not Severity.NONE
    }
    assert wanted <= {each.slot.provider for each in life.desk.open.values() if not each.slot.resource}


@given(stories)
def test_a_loud_policy_misses_no_error(story: Story) -> None:
    """Every error that is no baseline and does not merely go on fires exactly once, by its own transition."""
    life = lived(LOUD, story)
    news = _news(life.transitions)
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
    errors_only = replace(LOUD, unknown_status=Severity.NONE)
    plain = replace(errors_only, severities=policy.severities, otherwise=policy.otherwise)
    quiet, loud = lived(plain, story), lived(errors_only, story)
    kept = {
        (each.alert.id, each.state)
        for each in loud.decisions
        if plain.severity(each.alert.error_type) is not Severity.NONE
    }
    assert {(each.alert.id, each.state) for each in quiet.decisions} == kept


@given(policies, stories)
def test_an_unknown_status_never_resolves(policy: Policy, story: Story) -> None:
    """Whatever the policy and the word; a resource that is restored ends its own alert in any status."""
    ended = [each.transition for each in lived(policy, story).decisions if not each.alert.is_open]
    assert not [each for each in ended if each and not each.resource and is_unknown_status(each.status)]


@given(st.lists(st.integers(1, 5000), max_size=12), st.sampled_from(["token_refresh_failed", None]))
def test_the_same_error_stamped_anew_fires_once(minutes: list[int], error_type: str | None) -> None:
    """However often, and although so many changes would make a connection unstable; then it resolves once."""
    life, now = Life(replace(LOUD, flapping=Flapping(transitions=2, within=timedelta(days=1)))), NOON
    rows = [connected(), broken(error_type=error_type)]
    rows += [replace(rows[1], errored_at=NOON + timedelta(minutes=each)) for each in minutes]
    for row in (*rows, connected()):
        life.meet(snapshot(row), now)
        now += timedelta(minutes=5)
    assert [each.state for each in life.decisions if each.told] == [F, R]


def _is_new_fault(each: Transition) -> bool:
    return not each.baseline and (each.kind in ERRORS or is_unknown_status(each.status))


def _severity(policy: Policy, row: Connection) -> Severity:
    return policy.severity_in(row.status, row.error_type, row.provider)


def _news(transitions: Iterable[Transition]) -> list[UUID]:
    """Return the transitions of one user that begin an alert where everything is wanted."""
    news, wrong = [], dict[str, str]()
    for each in transitions:
        if each.kind is Kind.USER_GONE:
            wrong.clear()
        if not each.provider or each.resource is not None or each.repeats_error:
            continue
        before = wrong.pop(each.provider, None)
        fault = _fault(each, before)
        if fault is None or (each.baseline and before is None):
            continue
        wrong[each.provider] = fault
        goes_on = fault == before and (is_unknown_status(each.status) or is_unknown_status(each.previous_status))
        if not goes_on:
            news.append(each.id)
    return news


def _fault(each: Transition, before: str | None) -> str | None:
    if each.status == ERROR:
        return each.error_type or UNSPECIFIED
    return (before or UNKNOWN_STATUS) if is_unknown_status(each.status) else None

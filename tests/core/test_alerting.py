"""What the policy makes of transitions and of time, example by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from monitor.core.alerting import BASELINE, MUTED, AlertKind, AlertState, unraised
from monitor.core.diff import depart, diff
from monitor.core.model import Connection, Kind
from monitor.core.policy import ANY, Flapping, Policy, Severity, flapping_rule
from tests.core.desk import Desk
from tests.core.samples import (
    LATER,
    NOON,
    POLICY,
    USER,
    broken,
    connected,
    errored,
    only,
    paused,
    snapshot,
    state,
)

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.core.alerting import Decision

FIRING, RESOLVED, PENDING, WITHDRAWN = AlertState.FIRING, AlertState.RESOLVED, AlertState.PENDING, AlertState.WITHDRAWN
MINUTE = timedelta(minutes=1)
LOUD = Policy()
SURE = Policy(confirm_for=30 * MINUTE, confirm_for_error_types={"deregistered_per_provider": timedelta()})


class Story:
    """One user's connections as they are seen, a quarter of an hour between two polls."""

    def __init__(self, policy: Policy, *rows: Connection) -> None:
        self.desk = Desk(policy)
        self.rows = rows
        self.now = NOON

    def see(self, *rows: Connection, after: timedelta = 15 * MINUTE) -> list[AlertState]:
        """See other rows, and return what people were told, step by step."""
        before, self.now = state(*self.rows, observed_at=self.now), self.now + after
        self.rows = rows
        return told(self.desk.meet(diff(before, snapshot(*rows), self.now), self.now))

    def wait(self, span: timedelta) -> list[AlertState]:
        """Let time pass, and return what people were told."""
        self.now += span
        return told(self.desk.meet([], self.now))


def told(decisions: list[Decision]) -> list[AlertState]:
    """Return the steps that people hear of."""
    return [each.state for each in decisions if each.told]


def standing(*rows: Connection, policy: Policy = POLICY, at: datetime = NOON) -> Desk:
    """Return a desk on which the alerts of broken rows stand."""
    desk = Desk(policy)
    for row in rows:
        desk.meet(diff(state(connected(row.provider), observed_at=at - MINUTE), snapshot(row), at), at)
    return desk


def decided(before: Connection | None, after: Connection | None, policy: Policy = LOUD) -> list[AlertState]:
    """Return the steps of alerts when ``before``, alerted on where it is broken, becomes ``after``."""
    rows = [[row] if row else [] for row in (before, after)]
    desk = standing(*(row for row in rows[0] if row.in_error))
    desk.policy = policy
    return told(desk.meet(diff(state(*rows[0]), snapshot(*rows[1]), LATER), LATER))


@pytest.mark.parametrize("before", [None, connected(), paused()])
def test_an_error_fires(before: Connection | None) -> None:
    """Into ``error`` from anything, absence included."""
    assert decided(before, broken()) == [FIRING]


def test_an_alert_says_what_it_is_about() -> None:
    """The alert carries the error of the transition that it began by, and an id derived from that transition."""
    cause = errored()
    desk = Desk(POLICY)
    desk.meet([cause], LATER)
    (found,) = desk.open.values()
    assert (found.user, found.provider, found.kind) == (USER, "fitbit", AlertKind.ERROR)
    assert (found.error_type, found.error_message, found.errored_at) == (
        "token_refresh_failed",
        broken().error_message,
        broken().errored_at,
    )
    assert (found.severity, found.fired_at, found.began_by) == (Severity.WARNING, LATER, cause.id)
    assert found.id == UUID("6e26859e-4d54-5d85-8532-e0fd4ad5206d")


@pytest.mark.parametrize("after", [connected(), paused(), None])
def test_leaving_the_error_resolves(after: Connection | None) -> None:
    """A status that is known to be no error, and the end of the connection, end its alert."""
    assert decided(broken(), after) == [RESOLVED]


def test_another_error_resolves_the_alert_and_fires_its_own() -> None:
    """A connection never has two open alerts: the old one ends before the new one begins."""
    assert decided(broken(), broken(error_type="user_not_found")) == [RESOLVED, FIRING]


def test_the_same_connection_breaking_again_is_a_new_alert() -> None:
    """Its id is another one."""
    story = Story(LOUD, connected())
    for row in (broken(), connected(), broken()):
        story.see(row)
    ids = [each.alert.id for each in story.desk.told]
    assert ids[0] == ids[1] != ids[2]


def test_suppression_of_the_new_error_still_ends_the_old_alert() -> None:
    """An error of severity ``none`` raises nothing and resolves what it replaces."""
    assert decided(broken(), broken(error_type="unknown"), POLICY) == [RESOLVED]


def test_suppression_fires_nothing() -> None:
    """An error type of severity ``none`` has no alert, and the reason says so."""
    assert decided(connected(), broken(error_type="unknown"), POLICY) == []
    assert unraised(POLICY, errored(broken(error_type="unknown"))) == MUTED


def test_an_alert_ends_even_where_the_policy_would_no_longer_raise_it() -> None:
    """Severities changed while the alert was open do not keep it open."""
    assert decided(broken(), connected(), Policy(otherwise=Severity.NONE)) == [RESOLVED]


def test_a_first_snapshot_fires_nothing() -> None:
    """A baseline shows old errors, not news."""
    (found,) = diff(state(observed_at=None), snapshot(broken()), NOON)
    assert unraised(LOUD, found) == BASELINE
    assert list(Desk(LOUD).meet([replace(found, baseline=True)], NOON)) == []


def test_a_baseline_error_that_changes_fires() -> None:
    """What happens after the first snapshot is news, although nothing was open."""
    assert Story(LOUD, broken()).see(broken(error_type="user_not_found")) == [FIRING]


def test_a_baseline_error_that_heals_resolves_nothing() -> None:
    """An alert that never fired never resolves."""
    assert Story(LOUD, broken()).see(connected()) == []


def test_a_lost_resource_leaves_the_alert_of_the_error_alone() -> None:
    """By default resource kinds neither fire nor resolve, also beside an open alert of the same connection."""
    assert decided(broken(sleep="available"), broken(sleep="unavailable")) == []
    assert decided(connected(sleep="available"), connected(sleep="unavailable")) == []


def test_a_lost_resource_is_an_alert_of_its_own_where_that_is_wanted() -> None:
    """It ends when the resource is back, beside the error of the same connection."""
    story = Story(Policy(resource_lost=Severity.INFO), connected(sleep="available"))
    assert story.see(connected(sleep="unavailable")) == [FIRING]
    assert story.see(broken(sleep="unavailable")) == [FIRING]
    assert story.see(broken(sleep="available")) == [RESOLVED]
    kinds = [(each.alert.kind, each.alert.severity) for each in story.desk.told]
    assert kinds[0] == kinds[2] == (AlertKind.RESOURCE_LOST, Severity.INFO)


def test_a_lost_resource_ends_with_its_connection() -> None:
    """What is not there cannot lack anything."""
    story = Story(Policy(resource_lost=Severity.INFO), connected(sleep="available"))
    story.see(connected(sleep="unavailable"))
    assert story.see() == [RESOLVED]


def test_a_gone_user_ends_all_its_alerts() -> None:
    """One transition resolves them, each by that transition."""
    gone = only(depart(state(broken(), broken("oura")), LATER))
    found = standing(broken(), broken("oura")).meet([gone], LATER)
    assert [(each.state, each.alert.provider) for each in found] == [(RESOLVED, "fitbit"), (RESOLVED, "oura")]
    assert {each.transition for each in found} == {gone}


def test_a_gone_user_is_an_alert_where_that_is_wanted() -> None:
    """It begins after the alerts of its connections end, and itself ends when the user is back."""
    desk = standing(broken(), policy=Policy(user_gone=Severity.CRITICAL))
    gone = only(depart(state(broken()), LATER))
    assert told(desk.meet([gone], LATER)) == [RESOLVED, FIRING]
    (alert,) = desk.open.values()
    assert (alert.kind, alert.severity, alert.provider) == (AlertKind.USER_GONE, Severity.CRITICAL, "")
    back = replace(gone, id=UUID(int=8), kind=Kind.USER_RETURNED)
    assert told(desk.meet([back], LATER + MINUTE)) == [RESOLVED]


def test_other_connections_keep_their_alerts() -> None:
    """An alert ends with its own connection's news only."""
    recovered = diff(state(broken(), broken("oura")), snapshot(connected(), broken("oura")), LATER)
    found = standing(broken(), broken("oura")).meet(recovered, LATER)
    assert [each.alert.provider for each in found] == ["fitbit"]


def test_a_stale_alert_ends_when_its_connection_breaks_again() -> None:
    """Where an alert was left open against the rules, a new error still leaves one open, not two."""
    found = standing(broken()).meet([replace(errored(), id=UUID(int=7))], LATER)
    assert told(found) == [RESOLVED, FIRING]


def test_each_decision_has_its_reason_and_time() -> None:
    """From beginning to end."""
    story = Story(LOUD, connected())
    story.see(broken())
    story.see(connected())
    assert [(each.reason, each.decided_at - NOON) for each in story.desk.decisions] == [
        ("errored begins it", 15 * MINUTE),
        ("it is new", 15 * MINUTE),
        ("recovered ends it", 30 * MINUTE),
    ]


def test_a_person_can_end_alerts() -> None:
    """Taking a user out of the cohort resolves its alerts without a transition."""
    (found,) = standing(broken()).meet([], LATER, removed=[USER])
    assert (found.state, found.was, found.transition) == (RESOLVED, FIRING, None)
    assert found.reason == "the user was removed from the cohort"


def test_an_error_fires_when_it_has_lasted() -> None:
    """Not a moment before ``confirm_for`` has passed since it was seen."""
    story = Story(SURE, connected())
    assert story.see(broken()) == []
    assert story.wait(30 * MINUTE - timedelta(microseconds=1)) == []
    assert story.wait(timedelta(microseconds=1)) == [FIRING]


def test_an_error_that_heals_unconfirmed_was_never_told() -> None:
    """It is withdrawn, with its reason."""
    story = Story(SURE, connected())
    story.see(broken())
    assert story.see(connected()) == []
    assert story.desk.decisions[-1].state is WITHDRAWN
    assert story.desk.decisions[-1].reason == "recovered ends it unconfirmed"


def test_an_error_that_lasted_is_told_even_if_it_was_over_when_that_was_decided() -> None:
    """A daemon that was down for a while decides late; what it would have told is told."""
    story = Story(SURE, connected())
    first = diff(state(connected()), snapshot(broken()), LATER)
    healed_at = LATER + 30 * MINUTE
    second = diff(state(broken(), observed_at=LATER), snapshot(connected()), healed_at)
    assert told(story.desk.meet([*first, *second], healed_at)) == [FIRING, RESOLVED]


def test_a_terminal_error_needs_no_confirmation() -> None:
    """By its type."""
    assert Story(SURE, connected()).see(broken(error_type="deregistered_per_provider")) == [FIRING]


def test_an_error_that_keeps_changing_is_confirmed_by_its_first_beginning() -> None:
    """It is one alert, however often its time moves; else it would never be notified."""
    story = Story(SURE, connected())
    rows = [replace(broken(), errored_at=NOON + each * MINUTE) for each in range(4)]
    assert [story.see(row, after=20 * MINUTE) for row in rows] == [
        [],
        [],
        [FIRING],
        [],
    ]


FLAPPING = Policy(flapping=Flapping(transitions=4, within=60 * MINUTE))


def flap(story: Story, times: int, after: timedelta = 5 * MINUTE) -> list[AlertState]:
    """Break and heal a connection in turn."""
    return [step for each in range(times) for step in story.see([broken(), connected()][each % 2], after=after)]


def test_a_flapping_connection_becomes_one_unstable_alert() -> None:
    """With one transition more than are still single alerts; after that people hear of it no more."""
    story = Story(FLAPPING, connected())
    assert flap(story, 4) == [FIRING, RESOLVED, FIRING, RESOLVED]
    assert story.see(broken(), after=5 * MINUTE) == [FIRING]
    (alert,) = story.desk.open.values()
    assert (alert.kind, alert.error_type, alert.severity) == (
        AlertKind.UNSTABLE,
        "token_refresh_failed",
        Severity.WARNING,
    )
    assert story.see(connected()) == []
    assert flap(story, 6) == []


def test_an_unstable_connection_is_stable_when_it_was_quiet_for_as_long() -> None:
    """And then the end says what it is."""
    story = Story(FLAPPING, connected())
    flap(story, 6)
    assert story.wait(60 * MINUTE - timedelta(microseconds=1)) == []
    assert story.wait(timedelta(microseconds=1)) == [RESOLVED]
    assert story.desk.told[-1].reason == "it was quiet for long enough, and is connected"
    assert not story.desk.open


def test_an_unstable_connection_that_rests_in_error_is_told_as_such() -> None:
    """A flapping connection is never silently lost: the error gets an alert of its own, which heals like any."""
    story = Story(FLAPPING, connected())
    flap(story, 5)
    assert story.wait(60 * MINUTE) == [RESOLVED, FIRING]
    ended, went_on = story.desk.told[-2:]
    assert ended.reason.endswith("and is in error token_refresh_failed")
    assert (went_on.alert.kind, went_on.alert.id != ended.alert.id) == (AlertKind.ERROR, True)
    assert story.see(connected()) == [RESOLVED]


def test_the_time_for_flapping_grows_with_the_poll_interval() -> None:
    """A poll every quarter of an hour cannot show more than four transitions an hour, and seldom shows three."""
    slow = flapping_rule(transitions=4, within=60 * MINUTE, interval=15 * MINUTE)
    assert slow.within == 150 * MINUTE
    assert flapping_rule(transitions=4, within=60 * MINUTE, interval=MINUTE).within == 60 * MINUTE
    story = Story(Policy(flapping=slow), connected())
    flap(story, 5, after=30 * MINUTE)
    assert [each.kind for each in story.desk.open.values()] == [AlertKind.UNSTABLE]


def test_slow_changes_are_no_flapping() -> None:
    """Each has its own alert."""
    assert len(flap(Story(FLAPPING, connected()), 12, after=40 * MINUTE)) == 12


def test_flapping_among_muted_errors_or_without_any_is_not_told() -> None:
    """As none of its single alerts would be."""
    muted, harmless = Story(replace(POLICY, flapping=FLAPPING.flapping), connected()), Story(FLAPPING, connected())
    for each in range(12):
        assert muted.see([broken(error_type="unknown"), connected()][each % 2], after=MINUTE) == []
        assert harmless.see([paused(), connected()][each % 2], after=MINUTE) == []


def test_a_connection_that_comes_and_goes_is_unstable_and_its_end_says_that_it_is_gone() -> None:
    """Absence is a state like others."""
    story = Story(FLAPPING, connected())
    for _ in range(3):
        story.see(broken(), after=5 * MINUTE)
        story.see(after=5 * MINUTE)
    assert [each.kind for each in story.desk.open.values()] == [AlertKind.UNSTABLE]
    story.wait(60 * MINUTE)
    assert story.desk.told[-1].reason == "it was quiet for long enough, and is removed"


def test_a_gone_user_ends_an_unstable_alert() -> None:
    """Like any other."""
    story = Story(FLAPPING, connected())
    flap(story, 5)
    gone = depart(state(broken(), observed_at=story.now), story.now + MINUTE)
    assert told(story.desk.meet(gone, story.now + MINUTE)) == [RESOLVED]


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


def test_a_provider_s_own_severities_are_laid_over() -> None:
    """First by its error type, then for any, then by the error type alone."""
    own = {"oura": {"unknown": Severity.CRITICAL, ANY: Severity.INFO}}
    policy = replace(POLICY, provider_severities=own)
    assert policy.severity("unknown", "oura") is Severity.CRITICAL
    assert policy.severity("token_refresh_failed", "oura") is Severity.INFO
    assert policy.severity("unknown", "fitbit") is Severity.NONE


def test_the_fallback_is_a_warning() -> None:
    """An error type nobody has configured is told."""
    assert LOUD.severity("brand_new") is Severity.WARNING

"""Statuses that the vendor does not document: they end nothing, and may begin an alert of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core.alerting import AlertKind, AlertState
from monitor.core.model import UNKNOWN_STATUS, Connection, is_unknown_status
from monitor.core.policy import Flapping, Policy, Severity
from monitor.core.telling import page
from monitor.core.wording import payload, summary
from tests.core.samples import broken, connected, paused
from tests.core.test_alerting import FLAPPING, MINUTE, Story

FIRING, RESOLVED = AlertState.FIRING, AlertState.RESOLVED
LOUD = Policy()


def odd(status: str = "ingesting") -> Connection:
    """Return a row whose status is not documented."""
    return Connection(provider="fitbit", status=status)


def kinds(story: Story) -> list[AlertKind]:
    """Return the kinds of the open alerts."""
    return [each.kind for each in story.desk.open.values()]


@pytest.mark.parametrize(("status", "unknown"), [("ingesting", True), ("", True), ("paused", False), (None, False)])
def test_a_status_is_known_or_not(status: str | None, unknown: bool) -> None:
    """No connection is no status."""
    assert is_unknown_status(status) is unknown


@pytest.mark.parametrize("before", [None, connected(), paused()])
def test_an_unknown_status_fires_where_nothing_is_open(before: Connection | None) -> None:
    """As an alert of its own kind."""
    story = Story(LOUD, *[before] if before else [])
    assert story.see(odd()) == [FIRING]
    (alert,) = story.desk.open.values()
    assert (alert.kind, alert.error_type, alert.severity) == (
        AlertKind.UNKNOWN_STATUS,
        UNKNOWN_STATUS,
        Severity.WARNING,
    )


@pytest.mark.parametrize("after", [connected(), paused(), None])
def test_a_known_status_ends_it(after: Connection | None) -> None:
    """So does the end of the connection."""
    story = Story(LOUD, connected())
    story.see(odd())
    assert story.see(*[after] if after else []) == [RESOLVED]


def test_an_error_ends_it_and_fires() -> None:
    """Two alerts, one after the other."""
    story = Story(LOUD, connected())
    story.see(odd())
    assert story.see(broken()) == [RESOLVED, FIRING]
    assert kinds(story) == [AlertKind.ERROR]


def test_an_unknown_status_keeps_the_alert_of_an_error_open() -> None:
    """Its status follows; the same error afterwards is still the same alert, and a known status ends it."""
    story = Story(LOUD, connected())
    story.see(broken())
    assert story.see(odd()) == []
    assert [each.status for each in story.desk.open.values()] == ["ingesting"]
    assert story.see(replace(broken(), errored_at=None)) == []
    assert story.see(connected()) == [RESOLVED]


def test_another_error_after_an_unknown_status_is_another_alert() -> None:
    """The first one is over, as its error is."""
    story = Story(LOUD, connected())
    story.see(broken())
    story.see(odd())
    assert story.see(broken(error_type="user_not_found")) == [RESOLVED, FIRING]


def test_an_error_type_of_the_same_name_is_an_error_like_any_other() -> None:
    """Whatever words the vendor invents, none is lost; it goes on under the name that both have."""
    story = Story(LOUD, connected())
    assert story.see(broken(error_type=UNKNOWN_STATUS)) == [FIRING]
    (alert,) = story.desk.open.values()
    story.desk.open[alert.id] = replace(alert, kind=AlertKind.UNKNOWN_STATUS)
    assert story.see(replace(broken(error_type=UNKNOWN_STATUS), errored_at=None)) == []
    assert story.see(connected()) == [RESOLVED]


def test_another_unknown_status_is_the_same_alert() -> None:
    """Whatever the words."""
    story = Story(LOUD, connected())
    story.see(odd())
    assert story.see(odd("backfilling")) == []
    assert [each.status for each in story.desk.open.values()] == ["backfilling"]


def test_a_status_has_a_severity_of_its_own() -> None:
    """Before that of unknown statuses; ``none`` is no alert."""
    policy = Policy(unknown_status=Severity.INFO, statuses={"ingesting": Severity.NONE, "odd": Severity.CRITICAL})
    assert Story(policy, connected()).see(odd()) == []
    story = Story(policy, connected())
    story.see(odd("odd"))
    assert [each.severity for each in story.desk.open.values()] == [Severity.CRITICAL]
    assert policy.status_severity("other") is Severity.INFO


def test_an_unknown_status_waits_for_confirmation() -> None:
    """As an error does."""
    story = Story(Policy(confirm_for=30 * MINUTE), connected())
    assert story.see(odd()) == []
    assert story.wait(30 * MINUTE) == [FIRING]


def test_a_connection_that_flaps_into_an_unknown_status_is_unstable() -> None:
    """One alert for many; it ends as an alert about what the connection came to rest in."""
    story = Story(FLAPPING, connected())
    for each in range(4):
        story.see([odd(), connected()][each % 2], after=5 * MINUTE)
    assert story.see(odd(), after=5 * MINUTE) == [FIRING]
    (unstable,) = story.desk.open.values()
    assert (unstable.kind, unstable.error_type) == (AlertKind.UNSTABLE, UNKNOWN_STATUS)
    assert story.wait(60 * MINUTE) == [RESOLVED, FIRING]
    assert kinds(story) == [AlertKind.UNKNOWN_STATUS]


def test_flapping_among_muted_unknown_statuses_is_not_told() -> None:
    """As none of its single alerts would be."""
    story = Story(replace(FLAPPING, unknown_status=Severity.NONE), connected())
    for each in range(12):
        assert story.see([odd(), connected()][each % 2], after=MINUTE) == []


def test_an_unstable_connection_whose_error_is_stamped_anew_comes_to_rest() -> None:
    """A time that moves at each poll is no change."""
    story = Story(Policy(flapping=Flapping(transitions=2, within=timedelta(hours=1))), connected())
    for row in (broken(), connected(), broken()):
        story.see(row, after=5 * MINUTE)
    assert kinds(story) == [AlertKind.UNSTABLE]
    for each in range(11):
        story.see(replace(broken(), errored_at=story.now + each * MINUTE), after=5 * MINUTE)
    assert story.see(replace(broken(), errored_at=story.now), after=5 * MINUTE) == [RESOLVED, FIRING]


def test_a_person_reads_which_status_it_is() -> None:
    """And how it ended."""
    story = Story(LOUD, connected())
    story.see(odd())
    fired = story.desk.told[-1]
    story.see(connected())
    ended = story.desk.told[-1]
    assert summary(fired) == "fitbit connection has the status ingesting, which is not a known one."
    assert summary(ended) == "fitbit connection no longer has an unknown status: it is connected."
    assert {payload(each)["kind"] for each in (fired, ended)} == {"unknown_status"}
    assert page(payload(fired)) == page(payload(ended)) == "unknown_status"


def test_a_person_reads_how_else_it_ended() -> None:
    """By another status, or because a person took the user out of the cohort."""
    story = Story(LOUD, connected())
    story.see(odd())
    alert = story.desk.told[-1].alert
    story.desk.meet([], story.now, removed=[alert.user])
    assert summary(story.desk.told[-1]) == (
        "fitbit connection no longer has an alert about its status ingesting: the user was removed from the cohort."
    )
    story = Story(LOUD, connected())
    story.see(odd())
    story.see(paused())
    assert (
        summary(story.desk.told[-1]) == "fitbit connection no longer has an unknown status: its status is now paused."
    )

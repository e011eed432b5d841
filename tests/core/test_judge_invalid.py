"""Verdicts on a 422: it takes a second one, at least 60 s after the first, and is over with the first 200."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core import judge
from monitor.core.judge import CALM, Claim, Doubts, Known, TargetView, Verdict
from monitor.core.model import Outcome, Presence
from monitor.core.tally import Count, Key
from monitor.core.target_health import Fault
from tests.core.samples import CADENCE, LATER, NOON, claim, connected, doubt, snapshot, state, view

SECOND = timedelta(seconds=1)


def judged(held: Claim, seen: TargetView = CALM) -> Verdict:
    """Judge a 422 that came a quarter of an hour after noon."""
    return judge.invalid(held, "user_id is not a valid UUID", CADENCE, LATER, seen)


def called_invalid(seconds: float = 900) -> Claim:
    """Return a user whose first 422 came so many seconds ago."""
    return claim(failures=1, outcome="invalid", doubts=Doubts(invalid=doubt(LATER - seconds * SECOND)))


def test_a_first_422_is_doubted() -> None:
    """The user stays active and is polled again after 60 s at the latest; the reason is kept."""
    found = judged(claim())
    assert (found.outcome, found.presence, found.change) == (Outcome.INVALID, Presence.PRESENT, None)
    assert (found.doubts, found.failures, found.digest) == (Doubts(invalid=doubt(LATER)), 1, b"last answer")
    assert (found.reason, found.next_poll_at) == ("user_id is not a valid UUID", LATER + 60 * SECOND)
    assert (found.missing_since, found.counts) == (None, {})


@pytest.mark.parametrize(("seconds", "presence"), [(59.999999, Presence.PRESENT), (60, Presence.INVALID)])
def test_the_second_422_counts_from_60_seconds_on(seconds: float, presence: Presence) -> None:
    """At 60 s sharp the user is invalid, a microsecond before it is not."""
    assert judged(called_invalid(seconds)).presence is presence


def test_an_invalid_user_is_paused_with_the_reason() -> None:
    """It is counted as paused and polled once in a gone interval; its connections stay, and it has no transition."""
    found = judged(called_invalid())
    assert (found.outcome, found.reason) == (Outcome.INVALID, "user_id is not a valid UUID")
    assert found.change is not None
    assert (found.change.transitions, found.change.connections) == ((), None)
    assert found.counts == {Key("acme_us", Count.USERS, "active"): -1, Key("acme_us", Count.USERS, "paused"): 1}
    assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval
    assert (found.digest, found.observed_at, found.failed_at, found.failures) == (None, None, LATER, 0)


def test_nobody_is_paused_while_many_are_called_invalid() -> None:
    """Neither while it lasts, nor by answers from before its end."""
    assert judged(called_invalid(), view(Fault.USERS_INVALID)).presence is Presence.PRESENT
    after = judged(called_invalid(), view(Fault.USERS_INVALID, ended=LATER))
    assert (after.presence, after.doubts) == (Presence.PRESENT, Doubts(invalid=doubt(LATER, NOON)))


def test_a_422_that_many_of_those_polled_meanwhile_share_is_not_confirmed() -> None:
    """The target calls everybody invalid, though a fifth of its users is not there yet."""
    assert judged(called_invalid(), view(polled=20, outcome=Outcome.INVALID)).presence is Presence.PRESENT


def test_other_faults_of_the_target_do_not_delay_it() -> None:
    """That many are not found says nothing about what a registration is worth."""
    assert judged(called_invalid(), view(Fault.NOT_FOUND)).presence is Presence.INVALID


def test_what_else_is_in_doubt_stays_in_doubt() -> None:
    """A 422 between two 404s ends no row of 404s."""
    held = replace(claim(), doubts=Doubts(not_found=doubt(NOON), connections={"oura": doubt(NOON)}))
    found = judged(held)
    assert found.doubts == replace(held.doubts, invalid=doubt(LATER))
    assert found.missing_since == NOON


@pytest.mark.parametrize("presence", [Presence.GONE, Presence.INVALID])
def test_a_422_of_an_absent_user_is_no_news(presence: Presence) -> None:
    """It stays what it is, with its reason, and is polled once in a gone interval."""
    found = judged(claim(presence=presence, missing_since=NOON, reason="before", digest=None))
    assert (found.presence, found.change, found.counts) == (presence, None, {})
    assert (found.missing_since, found.reason) == (NOON, "before")
    assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval


def test_an_invalid_user_that_is_answered_200_is_active_again() -> None:
    """Without a transition, also where its connections are what they were: it was never gone."""
    held = claim(presence=Presence.INVALID, digest=None, reason="no user id", outcome="invalid")
    known = Known(state=state(connected(), presence=Presence.INVALID))
    found = judge.seen(held, known, snapshot(connected()), b"new", CADENCE, LATER)
    assert (found.presence, found.reason, found.outcome) == (Presence.PRESENT, None, Outcome.CHANGED)
    assert found.change is not None
    assert found.change.transitions == ()
    assert found.counts == {Key("acme_us", Count.USERS, "active"): 1, Key("acme_us", Count.USERS, "paused"): -1}

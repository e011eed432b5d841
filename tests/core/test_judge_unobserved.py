"""Verdicts on answers that showed nothing: no state changes and no transition comes of them, ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import judge
from monitor.core.cadence import backoff
from monitor.core.judge import Doubts
from monitor.core.model import OBSERVED, Outcome, Presence
from monitor.core.tally import Count, Key
from monitor.core.target_health import Fault
from tests.core.lives import FAILURES, Answer, Life, lived, stories
from tests.core.samples import CADENCE, LATER, NOON, USER, claim, doubt, view
from tests.core.strategies import policies

if TYPE_CHECKING:
    from monitor.core.policy import Policy


@given(policies, stories)
def test_nothing_observed_changes_nothing(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """At any point of a life an answer that shows nothing moves neither state nor counts."""
    life, now = lived(policy, story), NOON + timedelta(days=2)
    life.let_pass(now)
    before = (dict(life.connections), observed(life.counts), list(life.transitions), life.observed_at)
    for outcome in FAILURES:
        found = life.meet(outcome, now)
        assert (found.outcome, found.change, found.observed_at) == (outcome, None, None)
    assert (life.connections, observed(life.counts), life.transitions, life.observed_at) == before


def observed(counts: Counter[Key]) -> dict[Key, int]:
    """Return what is counted, apart from users of whom nothing is seen."""
    return {key: amount for key, amount in counts.items() if amount and key.count is not Count.UNSEEN}


@given(policies, stories)
def test_failures_between_answers_change_no_story(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """A life with failures strewn in tells the same transitions as the life without them."""
    life, strewn, now = Life(policy), Life(policy), NOON
    for answer, step in story:
        now += step
        life.let_pass(now)
        life.meet(answer, now)
        life.let_pass(now)  # at the time of day, which may be behind that of the answer where the clock stepped back
        strewn.meet(Outcome.TIMEOUT, now)
        strewn.meet(answer, now)
        strewn.meet(Outcome.MALFORMED, now)
    assert (strewn.transitions, observed(strewn.counts)) == (life.transitions, observed(life.counts))


def test_every_outcome_is_told_apart() -> None:
    """Only two outcomes saw connections; 404 and 422 speak of the user; all others showed nothing."""
    assert OBSERVED | {Outcome.GONE, Outcome.INVALID} | set(FAILURES) == set(Outcome)
    assert {"unchanged", "changed"} == OBSERVED


@pytest.mark.parametrize("outcome", FAILURES)
def test_what_is_known_of_the_user_stays(outcome: Outcome) -> None:
    """Digest, presence and what is in doubt outlive a failure; the streak grows by one."""
    doubts = Doubts(not_found=doubt(NOON), connections={"oura": doubt(NOON)})
    found = judge.unobserved(claim(missing_since=NOON, failures=2, doubts=doubts), outcome, CADENCE, LATER)
    assert (found.doubts, found.failed_at) == (doubts, LATER)
    assert (found.digest, found.presence, found.missing_since) == (b"last answer", Presence.PRESENT, NOON)
    assert found.failures == 3


def test_a_failed_poll_is_due_again_soon() -> None:
    """The queue is the retry: after a back-off that grows with the streak."""
    for failures in (0, 1, 7, 40):
        found = judge.unobserved(claim(failures=failures), Outcome.TIMEOUT, CADENCE, LATER)
        assert found.next_poll_at - LATER == backoff(USER.user_id, failures + 1, CADENCE.interval)


def test_a_gone_user_backs_off_up_to_its_own_interval() -> None:
    """It is not asked more often than gone users are."""
    held = claim(presence=Presence.GONE, missing_since=NOON, failures=30)
    found = judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER)
    assert (found.presence, found.missing_since) == (Presence.GONE, NOON)
    assert CADENCE.gone_interval / 2 <= found.next_poll_at - LATER <= CADENCE.gone_interval


@pytest.mark.parametrize("fault", [Fault.REJECTED, Fault.UNREACHABLE])
@pytest.mark.parametrize("presence", [Presence.PRESENT, Presence.GONE])
def test_users_of_a_target_that_does_not_work_stay_due_for_the_next_probe(fault: Fault, presence: Presence) -> None:
    """A long failure must not push the users away, or no probe would find one when the target is back."""
    held = claim(presence=presence, failures=30)
    found = judge.unobserved(held, Outcome.REJECTED, CADENCE, LATER, view(fault))
    assert timedelta(seconds=15) <= found.next_poll_at - LATER <= timedelta(seconds=30)


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.CONNECTIONS_MISSING, Fault.THROTTLED])
def test_other_faults_of_the_target_leave_the_back_off_alone(fault: Fault) -> None:
    """Polls go on then."""
    found = judge.unobserved(claim(failures=30), Outcome.TIMEOUT, CADENCE, LATER, view(fault))
    assert CADENCE.interval / 2 <= found.next_poll_at - LATER <= CADENCE.interval


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(timedelta(minutes=7), timedelta(minutes=7)), (timedelta(days=1), timedelta(minutes=15))],
)
def test_a_user_waits_as_long_as_it_is_asked_to(asked: timedelta, waits: timedelta) -> None:
    """Up to the interval, where that is longer than five minutes."""
    found = judge.unobserved(claim(), Outcome.THROTTLED, CADENCE, LATER, retry_after=asked)
    assert found.next_poll_at == LATER + waits


def test_a_user_of_a_short_interval_waits_up_to_five_minutes() -> None:
    """The longer of both bounds counts."""
    cadence = replace(CADENCE, interval=timedelta(seconds=5))
    found = judge.unobserved(claim(), Outcome.THROTTLED, cadence, LATER, retry_after=timedelta(hours=1))
    assert found.next_poll_at == LATER + timedelta(minutes=5)


@pytest.mark.parametrize("asked", [None, timedelta(seconds=-60), timedelta(0), timedelta(seconds=1)])
def test_a_shorter_time_to_wait_does_not_cut_the_back_off(asked: timedelta | None) -> None:
    """A server that asks for no wait is not asked at once."""
    found = judge.unobserved(claim(failures=3), Outcome.THROTTLED, CADENCE, LATER, retry_after=asked)
    assert found.next_poll_at - LATER == backoff(USER.user_id, 4, CADENCE.interval)


@given(st.timedeltas(), st.integers(0, 10**6))
def test_no_answer_delays_a_user_for_longer_than_its_interval(asked: timedelta, failures: int) -> None:
    """Whatever it asks for, and however often the user failed."""
    found = judge.unobserved(claim(failures=failures), Outcome.THROTTLED, CADENCE, LATER, retry_after=asked)
    assert timedelta(0) < found.next_poll_at - LATER <= CADENCE.interval


def test_the_reason_of_the_latest_failure_is_kept() -> None:
    """So that people are told why a user is not seen; an invalid user keeps the reason of its pause."""
    held = claim(reason="before")
    assert judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER, reason="timeout").reason == "timeout"
    paused = claim(presence=Presence.INVALID, reason="no user id")
    assert judge.unobserved(paused, Outcome.TIMEOUT, CADENCE, LATER, reason="timeout").reason == "no user id"


UNSEEN = Key("acme_us", Count.UNSEEN, "timeout")
SILENT = Key("acme_us", Count.UNSEEN, "unavailable")


@pytest.mark.parametrize(("failures", "moved"), [(0, {}), (1, {UNSEEN: 1}), (2, {UNSEEN: 0, SILENT: 0})])
def test_a_user_is_unseen_from_its_second_failure_in_a_row(failures: int, moved: dict[Key, int]) -> None:
    """A single one is common; the third moves nothing more."""
    held = claim(failures=failures, outcome="timeout" if failures else None)
    assert judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER).counts == +Counter(moved)


def test_an_unseen_user_is_counted_under_its_latest_reason() -> None:
    """One user, one reason."""
    held = claim(failures=5, outcome="unavailable")
    assert judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER).counts == {UNSEEN: 1, SILENT: -1}


def test_a_good_answer_ends_being_unseen() -> None:
    """Also one of the same bytes as the last, which is then written in full."""
    found = judge.unchanged(claim(failures=5, outcome="timeout"), CADENCE, LATER)
    assert found.counts == {UNSEEN: -1}
    assert not found.only_times


@pytest.mark.parametrize("presence", [Presence.GONE, Presence.INVALID])
def test_absent_users_are_not_unseen(presence: Presence) -> None:
    """Only active users are counted."""
    held = claim(presence=presence, failures=5, outcome="timeout")
    assert judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER).counts == {}

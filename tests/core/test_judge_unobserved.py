"""Verdicts on answers that showed nothing: no state changes and no transition comes of them, ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from monitor.core import judge
from monitor.core.cadence import backoff
from monitor.core.model import OBSERVED, Outcome, Presence
from monitor.core.tally import Count, Key
from tests.core.lives import FAILURES, Answer, Life, lived, stories
from tests.core.samples import CADENCE, LATER, NOON, USER, claim
from tests.core.strategies import policies

if TYPE_CHECKING:
    from monitor.core.policy import Policy


@given(policies, stories)
def test_nothing_observed_changes_nothing(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """At any point of a life an answer that shows nothing moves neither state nor counts."""
    life, now = lived(policy, story), NOON + timedelta(days=2)
    life.let_pass(now)
    before = (dict(life.connections), life.counts.copy(), list(life.transitions), life.observed_at)
    for outcome in FAILURES:
        found = life.meet(outcome, now)
        assert (found.outcome, found.change, found.observed_at) == (outcome, None, None)
    assert (life.connections, life.counts, life.transitions, life.observed_at) == before


@given(policies, stories)
def test_failures_between_answers_change_no_story(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """A life with failures strewn in tells the same transitions as the life without them."""
    life, strewn, now = Life(policy), Life(policy), NOON
    for answer, step in story:
        now += step
        life.meet(answer, now)
        strewn.meet(Outcome.TIMEOUT, now)
        strewn.meet(answer, now)
        strewn.meet(Outcome.MALFORMED, now)
    assert (strewn.transitions, strewn.counts) == (life.transitions, life.counts)


def test_every_outcome_is_told_apart() -> None:
    """Only two outcomes saw connections; 404 and 422 speak of the user; all others showed nothing."""
    assert OBSERVED | {Outcome.GONE, Outcome.INVALID} | set(FAILURES) == set(Outcome)
    assert {"unchanged", "changed"} == OBSERVED


@pytest.mark.parametrize("outcome", FAILURES)
def test_what_is_known_of_the_user_stays(outcome: Outcome) -> None:
    """Digest, presence and a first 404 outlive a failure; the streak grows by one."""
    found = judge.unobserved(claim(missing_since=NOON, failures=2), outcome, CADENCE, LATER)
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


@pytest.mark.parametrize("presence", [Presence.PRESENT, Presence.GONE])
def test_a_rejected_user_stays_due_for_the_next_probe(presence: Presence) -> None:
    """A long rejection must not push the users away, or no probe would find one when the key is good again."""
    found = judge.unobserved(claim(presence=presence, failures=30), Outcome.REJECTED, CADENCE, LATER)
    assert timedelta(seconds=15) <= found.next_poll_at - LATER <= timedelta(seconds=30)


def test_422_pauses_the_user_with_the_reason() -> None:
    """The user is counted as paused; its connections stay as they were, and it has no transition."""
    found = judge.invalid(claim(), "user_id is not a valid UUID", LATER)
    assert (found.outcome, found.presence, found.reason) == (
        Outcome.INVALID,
        Presence.INVALID,
        "user_id is not a valid UUID",
    )
    assert found.change is not None
    assert (found.change.transitions, found.change.connections) == ((), None)
    assert found.change.counts == {Key("acme_us", Count.USERS, "active"): -1, Key("acme_us", Count.USERS, "paused"): 1}
    assert (found.digest, found.observed_at, found.failures) == (b"last answer", None, 0)


def test_422_of_a_gone_user_moves_it_from_gone_to_paused() -> None:
    """A user is counted once, whatever it was before."""
    found = judge.invalid(claim(presence=Presence.GONE), "bad", LATER)
    assert found.change is not None
    assert found.change.counts == {Key("acme_us", Count.USERS, "gone"): -1, Key("acme_us", Count.USERS, "paused"): 1}

"""What all replicas share of a target: its rate, and whether it rejects us."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import budget
from monitor.core.budget import NEW, Budget, Pace
from tests.core.samples import NOON

SECOND = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


FULL = Pace(rate=64.0).applied(NEW)
REJECTED = budget.rejected("no", NOON)(FULL)


def test_a_new_budget_allows_a_second_s_worth() -> None:
    """A burst is bounded by the rate, and what is wanted bounds it too."""
    assert FULL.allows(1000, NOON) == 64
    assert FULL.allows(10, NOON) == 10


def test_what_is_spent_is_gone_until_it_comes_back() -> None:
    """All replicas together stay within the rate."""
    spent = FULL.spend(64, NOON)
    assert spent.allows(1000, NOON) == 0
    assert spent.allows(1000, at(0.5)) == 32


def test_what_was_allowed_and_not_made_is_given_back() -> None:
    """Users that somebody else had in hand cost nothing."""
    assert budget.unspent(20)(FULL.spend(64, NOON)).allows(1000, NOON) == 20


def test_the_rate_is_that_of_whoever_spends() -> None:
    """A new configuration holds from its first claim on."""
    assert Pace(rate=8.0).applied(FULL.spend(64, NOON)).allows(1000, at(60)) == 8


def test_one_refusal_slows_everybody() -> None:
    """The lesson of one replica halves the rate of all, and stops them for as long as the target asks."""
    slowed = Pace(rate=64.0, lessons=(budget.slowed(NOON, 5 * SECOND),)).applied(FULL.spend(64, NOON))
    assert slowed.throttle.factor == 1 / 2
    assert slowed.allows(1000, at(4.9)) == 0
    assert slowed.allows(1000, at(5)) == 32


def test_refusals_that_two_replicas_met_at_once_halve_it_once() -> None:
    """The rate is halved at most once a second, whoever met the refusal."""
    lesson = budget.slowed(NOON, None)
    assert Pace(rate=64.0, lessons=(lesson, lesson)).applied(FULL).throttle.factor == 1 / 2


def test_a_rejected_target_is_probed_every_30_seconds() -> None:
    """The first probe comes 30 s after the rejection, then one each 30 s, however many replicas want to go."""
    now, allowed = REJECTED, list[int]()
    for second in range(121):
        for _ in range(3):
            count = now.allows(64, at(second))
            now = now.spend(count, at(second))
            allowed += [second] * count
    assert allowed == [30, 60, 90, 120]


def test_a_probe_nobody_wants_is_not_spent() -> None:
    """With no user due the next one may go at once."""
    assert REJECTED.allows(0, at(30)) == 0
    assert REJECTED.spend(0, at(30)).allows(1, at(31)) == 1


def test_a_second_rejection_changes_nothing() -> None:
    """The first reason and time stand, or each refused probe would put off the end."""
    assert budget.rejected("again", at(9))(REJECTED) == REJECTED


def test_a_good_answer_readmits_everybody() -> None:
    """All may go again."""
    assert budget.readmitted(NOON)(REJECTED).allows(1000, at(1)) == 64


def test_an_answer_asked_for_before_the_rejection_readmits_nobody() -> None:
    """What was in flight when the key was revoked says nothing of the key now."""
    assert budget.readmitted(at(-0.001))(REJECTED) == REJECTED


def test_a_new_process_may_probe_at_once() -> None:
    """It may have been started with a new key."""
    assert budget.probing(REJECTED).allows(64, at(1)) == 1


@given(st.timedeltas(SECOND, timedelta(days=3650)))
def test_a_clock_that_steps_back_does_not_prolong_a_rejection(step: timedelta) -> None:
    """A probe may go in the new time, its answer ends the rejection, and 30 s still lie between probes."""
    now = NOON - step
    assert REJECTED.allows(64, now) == 1
    probed = REJECTED.spend(1, now)
    assert probed.allows(64, now + 29 * SECOND) == 0
    assert budget.readmitted(now)(probed).rejected is None


def test_what_waits_is_stopped_by_a_rejection_that_came_after_it_was_allowed() -> None:
    """The probe, which was allowed after it, is not."""
    assert REJECTED.blocks(at(-1), at(1))
    assert not REJECTED.blocks(at(30), at(31))


def test_what_waits_is_stopped_for_as_long_as_the_target_asks() -> None:
    """Without a time to wait it may go on at the lower rate."""
    asked = budget.slowed(NOON, 5 * SECOND)(FULL)
    assert asked.blocks(at(-1), at(4))
    assert not asked.blocks(at(-1), at(5))
    assert not budget.slowed(NOON, None)(FULL).blocks(at(-1), at(1))


@pytest.mark.parametrize("rejected", [None, "no"])
def test_a_budget_allows_again_what_it_was_not_asked_for(rejected: str | None) -> None:
    """Asking alone spends nothing."""
    some = replace(FULL, rejected=rejected)
    assert some.allows(64, NOON) == some.allows(64, NOON)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 3)), max_size=60),
    st.floats(1, 500),
)
def test_replicas_together_never_exceed_the_rate(asked: list[tuple[int, float]], rate: float) -> None:
    """In any stretch of time no more is granted than the rate gives and a burst of one second."""
    shared: Budget = NEW
    now, granted = NOON, list[tuple[datetime, int]]()
    for wanted, wait in asked:
        now += timedelta(seconds=wait)
        shared = Pace(rate=rate).applied(shared)
        count = shared.allows(wanted, now)
        shared = shared.spend(count, now)
        granted.append((now, count))
    for start, (since, _) in enumerate(granted):
        total = sum(count for _, count in granted[start:])
        assert total <= rate * ((now - since).total_seconds() + max(1.0, 1 / rate)) + 1e-3

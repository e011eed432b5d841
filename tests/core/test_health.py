"""Whether a target as a whole answers: rejected, out of reach, or not to be trusted when it says *gone*."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.health import Generation, Health
from monitor.core.model import Outcome
from tests.core.samples import NOON

ANSWERED = sorted(set(Outcome) - {Outcome.TIMEOUT})
MISSING, FINE = Outcome.GONE, Outcome.UNCHANGED


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def after(
    health: Health, *outcomes: Outcome, seconds: float = 0, started: float | None = None, known_gone: bool = False
) -> Health:
    """Return the health after polls that were asked and answered at these seconds."""
    for each in outcomes:
        health = health.after(
            each,
            started_at=at(seconds if started is None else started),
            now=at(seconds),
            answered=each is not Outcome.TIMEOUT,
            known_gone=known_gone,
        )
    return health


REJECTED = after(Health(), Outcome.REJECTED)
FORGETFUL = after(Health(), *[MISSING] * 20)


def test_a_new_target_is_taken_to_be_well() -> None:
    """Until it says otherwise it is up, and its word on absence counts."""
    assert Health().up
    assert Health().trusts_absence


def test_401_and_403_reject_the_target() -> None:
    """One such answer is enough; the reason names the key, and absence is not believed."""
    assert REJECTED.rejected == "Junction refuses the API key (401 or 403)"
    assert not REJECTED.up
    assert not REJECTED.trusts_absence


@pytest.mark.parametrize("outcome", [each for each in ANSWERED if each is not Outcome.REJECTED])
def test_nothing_else_rejects_it(outcome: Outcome) -> None:
    """One other answer, whatever it is, leaves the target up."""
    assert after(Health(), outcome).up


@pytest.mark.parametrize("outcome", [FINE, Outcome.CHANGED])
def test_a_good_answer_to_a_probe_ends_the_rejection(outcome: Outcome) -> None:
    """It recovers by itself."""
    assert after(REJECTED, outcome, seconds=31, started=30).up


def test_an_answer_asked_for_before_the_rejection_does_not_end_it() -> None:
    """What was in flight when the key was revoked says nothing of the key now."""
    late = after(after(Health(), Outcome.REJECTED, seconds=10), FINE, seconds=12, started=9.999)
    assert late.rejected
    assert after(late, FINE, seconds=12, started=10).up


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {FINE, Outcome.CHANGED}))
def test_no_other_answer_ends_a_rejection(outcome: Outcome) -> None:
    """Neither another refusal nor a fault is a sign of health."""
    assert after(REJECTED, outcome, seconds=31).rejected == REJECTED.rejected


def test_a_repeated_rejection_moves_nothing() -> None:
    """The time of the first refusal stands, so a stream of them does not put off the probe."""
    assert after(REJECTED, Outcome.REJECTED, seconds=20) == REJECTED


def test_five_unanswered_polls_in_a_row_put_it_out_of_reach() -> None:
    """Four do not, and any answer resets the row."""
    assert after(Health(), *[Outcome.TIMEOUT] * 4).up
    lost = after(Health(), *[Outcome.TIMEOUT] * 5)
    assert (lost.up, lost.rejected) == (False, None)
    assert after(Health(), *[Outcome.TIMEOUT] * 4, Outcome.MALFORMED, *[Outcome.TIMEOUT] * 4).up


@pytest.mark.parametrize("outcome", [each for each in ANSWERED if each is not Outcome.REJECTED])
def test_any_answer_brings_it_back_within_reach(outcome: Outcome) -> None:
    """Even one that shows nothing: somebody is there."""
    assert after(after(Health(), *[Outcome.TIMEOUT] * 9), outcome).up


def test_twenty_404s_of_a_fifth_reject_the_target() -> None:
    """A target that forgets everybody is at fault, not its users."""
    assert after(Health(), *[MISSING] * 19).trusts_absence
    assert not FORGETFUL.trusts_absence
    assert not FORGETFUL.up
    assert FORGETFUL.rejected == "more than a fifth of recent polls ended in 404"


def test_exactly_a_fifth_of_404s_is_no_wave() -> None:
    """More than a fifth must miss: 20 of 100 is not, 21 of 101 is."""
    fifth = after(Health(), *[FINE] * 80, *[MISSING] * 20)
    assert fifth.trusts_absence
    assert not after(fifth, MISSING).trusts_absence


def test_recent_polls_are_the_last_one_to_two_hundred() -> None:
    """404s of long ago are forgotten."""
    old = after(Health(), *[FINE] * 80, *[MISSING] * 19, FINE)
    assert not after(old, *[FINE] * 4, *[MISSING] * 4).too_many_missing
    assert not after(old, MISSING, MISSING, MISSING, MISSING).up
    assert after(old, *[FINE] * 100, *[MISSING] * 19).up


def test_a_user_known_to_be_gone_does_not_count() -> None:
    """Its 404 is no news, so a cohort with many gone users is not taken for a wave."""
    assert after(Health(), *[MISSING] * 500, known_gone=True) == Health()
    assert after(Health(), *[MISSING] * 5, known_gone=False).current == Generation(5, 5)


def test_a_wave_of_404s_ends_with_the_first_good_probe() -> None:
    """However long it lasted: probes that miss do not weigh against the recovery."""
    health = FORGETFUL
    for probe in range(1, 500):
        health = after(health, MISSING, seconds=30 * probe)
    assert after(health, FINE, seconds=15_000).up


def test_after_a_wave_absence_must_be_proven_anew() -> None:
    """One good answer does not make the other 404s true: a hundred polls must pass without another wave."""
    back = after(FORGETFUL, FINE, seconds=30)
    assert back.up
    assert not after(back, *[FINE] * 99, seconds=31).trusts_absence
    assert after(back, *[FINE] * 100, seconds=31).trusts_absence


def test_a_half_broken_target_never_makes_a_user_gone() -> None:
    """While every other answer is a 404 it falls back before its word on absence counts."""
    health = FORGETFUL
    for second in range(0, 6000, 30):
        health = after(health, *[FINE, MISSING] * 50, seconds=second)
        assert not health.trusts_absence


def test_after_a_rejected_key_absence_is_believed_at_once() -> None:
    """A key says nothing of users."""
    assert after(REJECTED, FINE, seconds=30).trusts_absence


def test_a_wave_is_no_wave_while_the_key_is_rejected() -> None:
    """The first reason stands, and ends with the first good answer."""
    both = after(REJECTED, *[MISSING] * 30, seconds=30)
    assert both.rejected == REJECTED.rejected
    assert after(both, FINE, seconds=60).trusts_absence


def test_what_another_replica_found_out_is_believed() -> None:
    """Its rejection is ours from that time on, and its recovery too."""
    told = Health().told("no", at(5))
    assert (told.up, told.trusts_absence) == (False, False)
    assert after(told, FINE, seconds=9, started=4).rejected == "no"
    assert after(told, FINE, seconds=9, started=5).up
    assert told.told(None, at(5)).up


def test_a_wave_that_another_replica_met_has_to_be_disproved_here_too() -> None:
    """When it is over, absence counts only after as many polls as where the wave was met."""
    told = Health().told(FORGETFUL.rejected, at(0)).told(None, at(0))
    assert told.up
    assert not told.trusts_absence
    assert after(told, *[FINE] * 100).trusts_absence


def test_our_own_rejection_follows_the_time_that_all_agree_on() -> None:
    """Where the clock stepped back, a probe of the new time ends it."""
    told = REJECTED.told(REJECTED.rejected, at(-60))
    assert after(told, FINE, seconds=-29, started=-30).up


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans()), max_size=300))
def test_absence_is_never_believed_of_a_target_that_is_rejected(story: list[tuple[Outcome, bool]]) -> None:
    """Through any story: while it is rejected no user goes."""
    health = Health()
    for second, (outcome, known_gone) in enumerate(story):
        health = after(health, outcome, seconds=second, known_gone=known_gone)
        assert not (health.rejected and (health.trusts_absence or health.up))

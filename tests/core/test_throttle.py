"""How fast a target may be asked: the bucket, the yielding rate, and clocks that step back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.core.throttle import FLOOR, Throttle
from tests.core.samples import NOON

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
rates = st.sampled_from([0.1, 1.0, 7.5, 50.0, 1000.0])
gaps = st.floats(0, 5).map(lambda seconds: timedelta(seconds=seconds))
takes = st.lists(st.tuples(gaps, st.integers(0, 200), st.floats(0, 1)), max_size=40)


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def refused(*times: float, rate: float = 64.0, retry_after: timedelta | None = None) -> Throttle:
    """Return a throttle after refusals at these seconds."""
    throttle = Throttle(rate=rate)
    for each in times:
        throttle = throttle.after_refusal(at(each), retry_after)
    return throttle


def granted(throttle: Throttle, seconds: float) -> int:
    """Return how many of a thousand requests may start."""
    return throttle.take(1000, at(seconds))[0]


@given(rates, takes)
def test_the_rate_is_never_exceeded_over_any_window(rate: float, story: list[tuple[timedelta, int, float]]) -> None:
    """From any moment to any later one at most the rate times the time starts, and one burst of a second."""
    throttle, now, log = Throttle(rate=rate), NOON, list[tuple[datetime, int]]()
    for gap, wanted, unused in story:
        now += gap
        got, throttle = throttle.take(wanted, now)
        assert 0 <= got <= wanted
        throttle = throttle.give_back(int(got * unused))
        log.append((now, got - int(got * unused)))
    for start, (began, _) in enumerate(log):
        for end in range(start, len(log)):
            bound = rate * (log[end][0] - began).total_seconds() + max(1.0, rate)
            assert sum(count for _, count in log[start : end + 1]) <= bound + 1e-6


@given(rates, st.integers(1, 20))
def test_a_steady_taker_gets_the_whole_rate(rate: float, ticks: int) -> None:
    """Fractions of a request are kept for later, so a small rate is not rounded away."""
    throttle, total = Throttle(rate=rate), 0
    for tick in range(ticks * 40 + 1):
        got, throttle = throttle.take(10_000, at(tick / 4))
        total += got
    assert total >= rate * ticks * 10 - 1


def test_what_was_not_used_can_be_used_later() -> None:
    """Permissions come back, but never more than one burst of them."""
    got, throttle = Throttle(rate=50.0).take(50, NOON)
    assert (got, granted(throttle, 0)) == (50, 0)
    assert granted(throttle.give_back(20), 0) == 20
    assert granted(throttle.give_back(20), 60) == 50


def test_nobody_gets_what_was_not_wanted() -> None:
    """No room, no grant."""
    assert Throttle(rate=50.0).take(0, NOON)[0] == 0
    assert Throttle(rate=50.0).take(-3, NOON)[0] == 0


def test_a_refusal_halves_the_rate() -> None:
    """429 and 503 mean half."""
    assert refused(0).factor_at(NOON) == 1 / 2
    assert granted(refused(0), 5) == 32


def test_the_rate_is_halved_at_most_once_a_second() -> None:
    """A volley of refusals counts once; a second later the next one counts."""
    assert refused(0, 0.1, 0.5, 0.999).factor_at(at(1)) == 1 / 2
    assert refused(0, 0.1, 1.0).factor_at(at(1)) == 1 / 4


def test_the_rate_never_falls_below_a_32nd() -> None:
    """The floor keeps a target that refuses everything being asked."""
    assert refused(*range(20)).factor_at(at(20)) == FLOOR == 1 / 32
    assert granted(refused(*range(20)), 28) == 2


def test_the_rate_rises_after_ten_quiet_seconds() -> None:
    """By an eighth of the configured rate a second, up to all of it."""
    throttle = refused(0, 1, 2)
    shares = [throttle.factor_at(at(2 + seconds)) for seconds in (0, 10, 11, 12, 14, 17, 60)]
    assert shares == pytest.approx([1 / 8, 1 / 8, 2 / 8, 3 / 8, 5 / 8, 1, 1])


def test_every_refusal_starts_the_quiet_seconds_anew() -> None:
    """Also one that does not halve."""
    throttle = refused(0, 0.5)
    assert throttle.factor_at(at(10.5)) == 1 / 2
    assert throttle.factor_at(at(11.5)) == pytest.approx(5 / 8)


def test_a_refusal_while_rising_halves_what_had_been_reached() -> None:
    """The way down starts from where the way up was."""
    assert refused(0, 12).factor_at(at(12)) == pytest.approx((1 / 2 + 2 / 8) / 2)


@pytest.mark.parametrize(("asked", "honoured"), [(20.0, 20.0), (300.0, 300.0), (86400.0, 300.0)])
def test_retry_after_is_honoured_up_to_five_minutes(asked: float, honoured: float) -> None:
    """Nothing starts before it has passed, and something does then."""
    throttle = refused(0, retry_after=timedelta(seconds=asked))
    assert granted(throttle, honoured - 0.001) == 0
    assert granted(throttle, honoured) > 0


def test_a_shorter_retry_after_does_not_cut_a_longer_one() -> None:
    """The latest moment that was asked for counts; a refusal that asks for none shortens nothing."""
    throttle = refused(0, retry_after=60 * SECOND).after_refusal(at(1), 2 * SECOND).after_refusal(at(2), None)
    assert granted(throttle, 59) == 0
    assert granted(throttle, 60) > 0


def test_a_retry_after_in_the_past_blocks_nothing() -> None:
    """A date that has passed asks for no wait."""
    assert granted(refused(0, retry_after=-HOUR), 1) > 0


def test_tokens_of_the_old_rate_are_not_spent_at_the_new_one() -> None:
    """After a refusal at most one second's worth of the halved rate may start at once."""
    _, full = Throttle(rate=64.0).take(0, NOON)
    assert granted(full.after_refusal(NOON, None), 0) == 32


@given(st.timedeltas(SECOND, timedelta(days=3650)), st.sampled_from([None, SECOND, HOUR]))
def test_a_clock_that_steps_back_never_blocks_for_longer(step: timedelta, retry_after: timedelta | None) -> None:
    """However far it stepped, five minutes later requests start, and after half a minute more at the full rate."""
    now = NOON - step
    _, throttle = refused(0, 1, 2, retry_after=retry_after).take(10, now)
    got, throttle = throttle.take(1000, now + timedelta(minutes=5))
    assert got > 0
    assert throttle.factor_at(now + timedelta(minutes=5, seconds=30)) == 1


@given(st.timedeltas(SECOND, timedelta(days=3650)))
def test_a_clock_that_steps_back_does_not_disarm_the_throttle(step: timedelta) -> None:
    """A refusal in the new time still halves the rate, after a second at the latest."""
    throttle = refused(0).after_refusal(NOON - step, None).after_refusal(NOON - step + SECOND, None)
    assert throttle.factor_at(NOON - step + SECOND) == 1 / 4


@given(st.lists(st.timedeltas(-HOUR, HOUR), min_size=1, max_size=20))
def test_a_clock_that_jumps_about_never_frees_more_than_a_burst_at_once(jumps: list[timedelta]) -> None:
    """Each step forward earns its time up to one second's worth; a step back earns nothing."""
    assume(sum(jumps, timedelta(0)) < HOUR)
    now, throttle = NOON, Throttle(rate=50.0)
    for jump in jumps:
        earlier, now = now, now + jump
        got, throttle = throttle.take(1000, now)
        assert got <= 50
        assert now >= earlier or throttle.take(1000, now)[0] == 0


def test_requests_beside_polls_take_what_polls_leave() -> None:
    """Without anybody in their way they need nothing that is kept for them."""
    assert Throttle(rate=50.0).take_reserved(3, NOON)[0] == 3
    assert Throttle(rate=50.0).take_reserved(1000, NOON)[0] == 50
    assert Throttle(rate=50.0).take_reserved(0, NOON)[0] == 0
    assert Throttle(rate=50.0).take_reserved(-3, NOON)[0] == 0


@given(rates, st.integers(2, 6))
def test_a_tenth_of_the_rate_is_kept_while_somebody_waits_for_it(rate: float, tens: int) -> None:
    """Polls that take whatever they get leave a tenth, and keep the rest, rounded to whole requests."""
    throttle, polls, others = Throttle(rate=rate), 0, 0
    for tick in range(tens * 100 + 1):
        got, throttle = throttle.take(10_000, at(tick / 4))
        polls += got
        got, throttle = throttle.take_reserved(10_000, at(tick / 4))
        others += got
    seconds = tens * 25
    assert others >= rate * seconds / 10 - 1 - rate / 10
    assert polls >= rate * seconds * 8 / 10 - 1


def test_nothing_is_kept_when_nobody_has_waited_for_two_seconds() -> None:
    """Polls have the whole rate again."""
    _, empty = Throttle(rate=50.0).take(50, NOON)
    got, waiting = empty.take_reserved(1, NOON)
    assert got == 0
    assert granted(waiting, 1) == 45
    assert granted(waiting, 2) == 50


def test_what_is_kept_is_a_tenth_of_a_second_s_worth_and_one_request_more() -> None:
    """However long it is waited for."""
    for rate, kept in ((50.0, 6), (2.0, 1.2)):
        throttle = Throttle(rate=rate)
        for tick in range(100):
            _, throttle = throttle.take(1000, at(tick / 4))
            throttle = replace(throttle, awaited_at=at(tick / 4))
        assert throttle.reserve == pytest.approx(kept)


def test_nothing_beside_polls_starts_while_the_target_asks_for_a_wait() -> None:
    """Whoever wants it waits on, and has something kept."""
    got, throttle = refused(0, retry_after=20 * SECOND).take_reserved(1, at(19))
    assert (got, throttle.awaited_at) == (0, at(19))
    assert throttle.take_reserved(1, at(20))[0] == 1


@given(rates, takes, st.lists(st.booleans(), min_size=40, max_size=40))
def test_polls_and_others_together_stay_within_the_rate(
    rate: float, story: list[tuple[timedelta, int, float]], others: list[bool]
) -> None:
    """What is kept is part of the rate, not beside it; it may add its own small burst."""
    throttle, now, log = Throttle(rate=rate), NOON, list[tuple[datetime, int]]()
    for (gap, wanted, _), is_other in zip(story, others, strict=False):
        now += gap
        got, throttle = (throttle.take_reserved if is_other else throttle.take)(wanted, now)
        assert 0 <= got <= wanted
        assert throttle.reserve >= 0
        log.append((now, got))
    bursts = max(1.0, rate) + 1 + max(1.0, rate) / 10
    for start, (began, _) in enumerate(log):
        total = sum(count for _, count in log[start:])
        assert total <= rate * (now - began).total_seconds() + bursts + 1e-6


@given(st.timedeltas(SECOND, timedelta(days=3650)))
def test_a_clock_that_steps_back_keeps_nothing_for_those_who_wait_no_more(step: timedelta) -> None:
    """Two seconds later, and not after the step."""
    _, waiting = Throttle(rate=50.0).take(50, NOON)[1].take_reserved(1, NOON)
    now = NOON - step
    _, waiting = waiting.take(50, now)
    _, waiting = waiting.take(50, now + 2 * SECOND)
    assert waiting.take(1000, now + 3 * SECOND)[0] == 50


def test_a_throttle_is_free_when_the_whole_rate_holds() -> None:
    """Neither while a wait is asked for, nor while the rate rises."""
    assert Throttle(rate=50.0).is_free(NOON)
    assert not refused(0).is_free(at(13.9))
    assert refused(0).is_free(at(14))
    assert not refused(0, retry_after=60 * SECOND).is_free(at(59))
    assert refused(0, retry_after=60 * SECOND).is_free(at(60))


def test_the_allowed_share_is_nothing_while_nothing_may_be_sent() -> None:
    """Then it is the share of the rate."""
    throttle = refused(0, retry_after=11 * SECOND)
    assert throttle.allowed_factor(at(10.9)) == 0
    assert throttle.allowed_factor(at(11)) == pytest.approx(1 / 2 + 1 / 8)

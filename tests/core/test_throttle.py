"""How fast a target may be asked: the bucket, the yielding rate, and clocks that step back."""

from __future__ import annotations

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

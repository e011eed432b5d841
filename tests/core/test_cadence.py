"""When a user is due: evenly spread, once in each interval, and with a back-off after failures."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.cadence import backoff, needed_rate, next_due, place, stretched
from tests.core.samples import NOON
from tests.core.strategies import moments, user_ids

if TYPE_CHECKING:
    from collections.abc import Callable

MANY, CELLS = 100_000, 200
intervals = st.timedeltas(timedelta(seconds=1), timedelta(days=7))
MINUTES = timedelta(minutes=15)


def time_based(number: int) -> UUID:
    """Return an id as a UUIDv1 generator on one machine would make it: only the low time field moves."""
    return UUID(fields=(number & 0xFFFFFFFF, 0x1234, 0x11F0, 0x8A, 0x01, 0x0242AC120002))


def drawn(number: int) -> UUID:
    """Return a random id, the same for the same number."""
    return UUID(int=random.Random(number).getrandbits(128), version=4)  # noqa: S311 - ids, not secrets


@pytest.mark.parametrize("made", [drawn, time_based, lambda number: UUID(int=number)], ids=["v4", "v1", "sequential"])
def test_places_are_even(made: Callable[[int], UUID]) -> None:
    """However ids were made, the load is even: chi-square over 200 cells, far from its tail at 199 degrees."""
    filled = [0] * CELLS
    for number in range(MANY):
        filled[int(place(made(number)) * CELLS)] += 1
    expected = MANY / CELLS
    assert sum((each - expected) ** 2 for each in filled) / expected < 300


def test_neighbours_are_strewn() -> None:
    """Ids that follow each other do not fall due one after the other."""
    places = [place(UUID(int=number)) for number in range(10_000)]
    nearer = sum(abs(after - before) < 0.1 for before, after in pairwise(places))
    assert 0.15 < nearer / len(places) < 0.23


@given(user_ids)
def test_a_place_is_a_fixed_number_below_one(user_id: UUID) -> None:
    """It depends on the id alone."""
    assert 0 <= place(user_id) < 1
    assert place(user_id) == place(UUID(str(user_id)))


def test_places_are_those_of_the_first_release() -> None:
    """A new version that moved every user would poll the cohort unevenly for an interval."""
    assert place(UUID(int=0)) == pytest.approx(0.012957512)
    assert place(UUID(int=1)) == pytest.approx(0.33115303)


@given(user_ids, intervals, moments)
def test_next_due_lies_after_now_and_within_one_interval(user_id: UUID, interval: timedelta, now: datetime) -> None:
    """Strictly after, so that a user is never due twice for one place."""
    assert now < next_due(user_id, interval, now) <= now + interval


@given(user_ids, intervals, moments)
def test_a_user_is_due_exactly_once_in_each_interval(user_id: UUID, interval: timedelta, now: datetime) -> None:
    """From one due time the next is one interval on, also when the poll came a little late."""
    due = next_due(user_id, interval, now)
    assert next_due(user_id, interval, due) == due + interval
    assert next_due(user_id, interval, due + interval * 0.9) == due + interval
    assert next_due(user_id, interval, due - timedelta(microseconds=1)) == due


@given(user_ids, moments)
def test_due_times_are_as_even_as_places(user_id: UUID, now: datetime) -> None:
    """A user is due when its place comes round in an interval counted from 1970, on every machine."""
    interval = timedelta(hours=7)
    passed = next_due(user_id, interval, now) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (passed % interval) / interval == pytest.approx(place(user_id), abs=1e-9)


@given(user_ids, intervals, moments, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_a_restart_moves_nobody(user_id: UUID, interval: timedelta, now: datetime, later: timedelta) -> None:
    """Due times of one user lie on one grid, whenever they are asked for."""
    assert (next_due(user_id, interval, now + later) - next_due(user_id, interval, now)) % interval == timedelta(0)


@given(user_ids, st.integers(1, 100), intervals)
def test_back_off_lies_between_half_and_all_of_a_doubling(user_id: UUID, failures: int, interval: timedelta) -> None:
    """5 s, 10 s, 20 s, … with jitter downwards, and never over the interval."""
    doubled = timedelta(seconds=5) * 2 ** min(failures - 1, 20)
    ceiling = min(doubled, interval)
    assert ceiling / 2 - timedelta(microseconds=1) <= backoff(user_id, failures, interval) <= ceiling


def test_back_off_doubles() -> None:
    """On average over users, each further failure doubles the wait until the interval bounds it."""
    sums = [
        sum(backoff(drawn(number), failures, MINUTES).total_seconds() for number in range(2000)) / 2000
        for failures in range(1, 12)
    ]
    assert sums[:7] == pytest.approx([3.75 * 2**power for power in range(7)], rel=0.03)
    assert sums[8:] == pytest.approx([675.0] * 3, rel=0.03)


def test_users_that_failed_together_do_not_come_back_together() -> None:
    """The jitter differs between users and between one user's attempts."""
    assert len({backoff(drawn(number), 8, MINUTES) for number in range(1000)}) > 990
    assert len({backoff(drawn(1), failures, MINUTES) for failures in range(9, 99)}) == 90
    assert backoff(drawn(1), 3, MINUTES) == backoff(drawn(1), 3, MINUTES)


def test_an_endless_streak_still_has_a_back_off() -> None:
    """A user that fails for years neither overflows nor is given up."""
    assert MINUTES / 2 <= backoff(drawn(1), 10**8, MINUTES) <= MINUTES


def test_the_grid_holds_at_its_ends() -> None:
    """Asked at the very moment it is due, the user is due an interval later."""
    due = next_due(drawn(5), timedelta(seconds=1), NOON)
    assert next_due(drawn(5), timedelta(seconds=1), due) - due == timedelta(seconds=1)


@given(intervals, st.integers(0, 10_000_000), st.floats(0.01, 100_000))
def test_a_stretched_interval_is_one_that_the_rate_holds(interval: timedelta, users: int, rate: float) -> None:
    """It is never shorter than the configured one, and no longer than a quarter of it more than is needed."""
    held = stretched(interval, users, rate)
    assert held >= interval
    assert needed_rate(users, held) <= rate * (1 + 1e-6)
    assert held == interval or users / (held - interval / 4).total_seconds() >= rate * (1 - 1e-6)


def test_a_rate_that_is_just_enough_stretches_nothing() -> None:
    """900 users in 15 minutes are one a second; one more asks for another quarter."""
    assert stretched(MINUTES, 900, 1.0) == MINUTES
    assert stretched(MINUTES, 901, 1.0) == MINUTES * 5 / 4
    assert stretched(MINUTES, 0, 1.0) == MINUTES

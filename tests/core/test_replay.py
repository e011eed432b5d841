"""Replaying a user's transitions from empty gives the user's current connections."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given

from monitor.core.diff import replay
from monitor.core.model import Kind, Outcome
from tests.core.faces import availability, faces
from tests.core.lives import Answer, lived, stories
from tests.core.samples import POLICY, broken, connected, snapshot
from tests.core.strategies import policies

if TYPE_CHECKING:
    from monitor.core.policy import Policy

MINUTE = timedelta(minutes=1)


@given(policies, stories)
def test_a_whole_life_replays_to_the_current_faces(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """Status and error of every current connection follow from the transitions alone, and nothing else does."""
    life = lived(policy, story)
    assert faces(replay(life.transitions)) == faces(life.connections)


@given(policies, stories)
def test_replayed_resources_are_the_current_ones(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """Each resource whose availability ever changed is as available as it is now."""
    life = lived(policy, story)
    assert availability(replay(life.transitions)).items() <= availability(life.connections).items()


@given(policies, stories)
def test_the_time_of_observation_orders_a_life(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """Observation times rise from answer to answer, also where the clock stepped back."""
    life = lived(policy, story)
    assert sorted(life.transitions, key=lambda each: each.observed_at) == life.transitions
    assert all(
        each.previous_observed_at is None or each.previous_observed_at < each.observed_at for each in life.transitions
    )


def test_a_clock_that_steps_back_between_gone_and_return_keeps_their_order() -> None:
    """A user that returns is observed after it was gone, whatever the clock says."""
    seen = snapshot(connected())
    story: list[tuple[Answer, timedelta]] = [
        (seen, MINUTE),
        (Outcome.GONE, MINUTE),
        (Outcome.GONE, MINUTE),
        (seen, -2 * MINUTE),
    ]
    gone, returned, appeared = lived(POLICY, story).transitions[1:]
    assert [gone.kind, returned.kind, appeared.kind] == [Kind.USER_GONE, Kind.USER_RETURNED, Kind.APPEARED]
    assert gone.observed_at < returned.observed_at == appeared.observed_at


def test_gone_again_is_told_again() -> None:
    """A user that came and went twice has two of each transition, all with ids of their own."""
    away: list[tuple[Answer, timedelta]] = [(Outcome.GONE, MINUTE), (Outcome.GONE, MINUTE)]
    seen: tuple[Answer, timedelta] = (snapshot(connected()), MINUTE)
    life = lived(POLICY, [seen, *away, seen, *away, seen])
    assert [each.kind for each in life.transitions].count(Kind.USER_GONE) == 2
    assert len({each.id for each in life.transitions}) == len(life.transitions) == 7


def test_a_user_that_went_has_no_connections() -> None:
    """One transition ends them all."""
    life = lived(POLICY, [(snapshot(connected(), broken("oura")), MINUTE), *[(Outcome.GONE, MINUTE)] * 2])
    assert replay(life.transitions) == life.connections == {}


def test_a_change_of_status_keeps_what_is_known_of_resources() -> None:
    """A resource lost before the connection broke is still lost after it."""
    rows = [connected(sleep="available"), connected(sleep="unavailable"), broken(sleep="unavailable")]
    life = lived(POLICY, [(snapshot(row), MINUTE) for row in rows])
    assert replay(life.transitions)["fitbit"].resources == {"sleep": "unavailable"}


def test_a_row_that_vanished_and_came_back_starts_anew() -> None:
    """What was known of its resources ended with it."""
    before, after = (connected(sleep="available"),), (connected(sleep="unavailable"),)
    rows = [before, after, (), (), before]
    life = lived(POLICY, [(snapshot(*row), MINUTE) for row in rows])
    assert replay(life.transitions)["fitbit"].resources == {}


def test_nothing_replays_to_nothing() -> None:
    """No transitions, no connections."""
    assert replay([]) == {}


def test_a_replayed_error_carries_its_words() -> None:
    """Message, type and time of the error come back from the transition."""
    life = lived(POLICY, [(snapshot(broken()), MINUTE)])
    assert replay(life.transitions) == {"fitbit": broken()}

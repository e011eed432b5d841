"""Transition ids: derived from what a transition says, so that writing it twice is impossible."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.diff import depart, diff
from monitor.core.model import Connection, Snapshot, User, UserState
from tests.core.lives import Answer, lived, stories
from tests.core.samples import LATER, NOON, broken, connected, only, snapshot, state
from tests.core.strategies import policies, snapshots, states, users

if TYPE_CHECKING:
    from monitor.core.policy import Policy


@given(states(), snapshots())
def test_the_same_pair_diffed_again_has_the_same_ids(state: UserState, snapshot: Snapshot) -> None:
    """Equal inputs give equal transitions, ids included."""
    assert diff(replace(state), replace(snapshot), LATER) == diff(state, snapshot, LATER)


@given(states(), snapshots())
def test_ids_are_distinct_within_a_diff(state: UserState, snapshot: Snapshot) -> None:
    """No two transitions of one pair share an id."""
    found = diff(state, snapshot, LATER)
    assert len({each.id for each in found}) == len(found)


@given(policies, stories)
def test_ids_are_distinct_in_a_whole_life(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """Successive pairs never share an id, also where the clock stepped back, and neither do alerts."""
    life = lived(policy, story)
    assert len({each.id for each in life.transitions}) == len(life.transitions)
    fired = [each.alert.id for each in life.desk.told if each.state.value == "firing"]
    assert len(set(fired)) == len(fired)


@given(users, users, snapshots())
def test_ids_are_distinct_between_users_and_targets(one: User, other: User, snapshot: Snapshot) -> None:
    """The same news of another user, or of the same user id in another target, is another fact."""
    first, second = ({each.id for each in diff(UserState(user=user), snapshot, NOON)} for user in (one, other))
    assert one == other or not first & second


def test_ids_tell_pairs_apart_by_both_of_their_times() -> None:
    """Another previous or another present observation makes another id."""
    rows = snapshot(broken())
    pairs = [(NOON, LATER), (None, LATER), (NOON, LATER + timedelta(seconds=1)), (LATER, LATER + timedelta(seconds=1))]
    ids = {only(diff(state(connected(), observed_at=before), rows, at)).id for before, at in pairs}
    assert len(ids) == len(pairs)


@given(st.text("ab|1", min_size=1), st.text("ab|1", min_size=1))
def test_vendor_words_cannot_forge_an_id(provider: str, resource: str) -> None:
    """A slug that looks like the separator does not run into the resource that follows it."""
    rows = [connected("a", **{"b|1": "available"}), connected(provider, **{resource: "available"})]
    ids = {
        each.id
        for row in rows
        for each in diff(state(row), snapshot(replace(row, resources=dict.fromkeys(row.resources, "gone"))), LATER)
    }
    assert len(ids) == (1 if (provider, resource) == ("a", "b|1") else 2)


def test_ids_are_those_of_the_first_release() -> None:
    """What is stored today must be recognised tomorrow: these ids never change."""
    lost = diff(state(connected(sleep="available")), snapshot(connected(sleep="unavailable")), LATER)
    broke, left = diff(state(connected()), snapshot(broken()), LATER), depart(state(), LATER)
    assert [str(only(each).id) for each in (broke, lost, left)] == [
        "a82c0e6f-3702-5a7e-9204-5bee2194b860",
        "8f9015db-fdf2-5b19-a69e-64b9956d42eb",
        "b0f30964-2778-5f95-b4e7-f18f13cbd62b",
    ]


def test_any_unicode_makes_an_id() -> None:
    """Words of any script are kept and told apart."""
    names = ["Füße", "Fu\u0308ße", "\u0000", "\U0001f600", "x" * 5000]
    rows = [Connection(provider=name, status="connected") for name in names]
    assert len({each.id for each in diff(state(), snapshot(*rows), LATER)}) == len(names)

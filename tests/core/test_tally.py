"""Counts move by differences and stay what a recount would find."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import tally
from monitor.core.diff import depart, diff
from monitor.core.model import Intent, Presence
from monitor.core.tally import Count, Key
from tests.core.desk import Desk
from tests.core.lives import Answer, lived, stories
from tests.core.samples import LATER, POLICY, USER, broken, connected, errored, paused, snapshot, state
from tests.core.strategies import policies

if TYPE_CHECKING:
    from datetime import timedelta

    from monitor.core.policy import Policy

T = "acme_us"


@given(policies, stories)
def test_differences_over_a_life_add_up_to_the_recount(policy: Policy, story: list[tuple[Answer, timedelta]]) -> None:
    """Connections, resources, users, transitions and alerts: what moved is what is there, and nothing is negative."""
    life = lived(policy, story)
    assert {key: amount for key, amount in life.counts.items() if amount} == dict(life.recount())


def test_connections_are_counted_by_provider_status_and_error_type() -> None:
    """An error without a type reads ``unspecified``; outside ``error`` the label is empty."""
    rows = [connected(), connected(), broken(), broken(error_type=None), paused("oura")]
    assert tally.of_connections(T, rows) == {
        Key(T, Count.CONNECTIONS, "fitbit", "connected", ""): 2,
        Key(T, Count.CONNECTIONS, "fitbit", "error", "token_refresh_failed"): 1,
        Key(T, Count.CONNECTIONS, "fitbit", "error", "unspecified"): 1,
        Key(T, Count.CONNECTIONS, "oura", "paused", ""): 1,
    }


def test_every_word_but_available_counts_as_unavailable() -> None:
    """Resources are counted one by one, of broken rows too."""
    found = tally.of_connections(T, [connected(sleep="unavailable", body="available"), broken(sleep="limited")])
    assert found[Key(T, Count.RESOURCES_UNAVAILABLE, "fitbit", "sleep")] == 2
    assert Key(T, Count.RESOURCES_UNAVAILABLE, "fitbit", "body") not in found


def test_transitions_are_counted_under_the_error_they_are_about() -> None:
    """The error type now, else the one that was left, else none; user kinds have no provider."""
    found = [
        *diff(state(connected()), snapshot(broken()), LATER),
        *diff(state(broken()), snapshot(connected()), LATER),
        *diff(state(broken()), snapshot(broken(error_type=None)), LATER),
        *diff(state(broken(error_type=None)), snapshot(), LATER),
        *diff(state(), snapshot(connected()), LATER),
        *depart(state(), LATER),
    ]
    assert tally.of_transitions(found) == {
        Key(T, Count.TRANSITIONS, "fitbit", "errored", "token_refresh_failed"): 1,
        Key(T, Count.TRANSITIONS, "fitbit", "recovered", "token_refresh_failed"): 1,
        Key(T, Count.TRANSITIONS, "fitbit", "error_changed", "unspecified"): 1,
        Key(T, Count.TRANSITIONS, "fitbit", "disappeared", "unspecified"): 1,
        Key(T, Count.TRANSITIONS, "fitbit", "appeared", ""): 1,
        Key(T, Count.TRANSITIONS, "", "user_gone", ""): 1,
    }


def test_an_alert_counts_from_firing_to_resolution() -> None:
    """Firing adds one under its severity, resolution takes it away again; one that waits counts for nothing."""
    key = Key(T, Count.ALERTS, "fitbit", "warning")
    desk = Desk(POLICY)
    began, fired = desk.meet([errored()], LATER)
    assert tally.of_decisions([began])[key] == 0
    assert tally.of_decisions([fired]) == {key: 1}
    assert tally.of_decisions([fired, *desk.meet([], LATER, removed=[USER])]) == {key: 0}


@pytest.mark.parametrize(
    ("intent", "presence", "label"),
    [
        (Intent.ACTIVE, Presence.PRESENT, "active"),
        (Intent.ACTIVE, Presence.GONE, "gone"),
        (Intent.ACTIVE, Presence.INVALID, "paused"),
        (Intent.PAUSED, Presence.PRESENT, "paused"),
        (Intent.PAUSED, Presence.GONE, "paused"),
        (Intent.PAUSED, Presence.INVALID, "paused"),
        (Intent.REMOVED, Presence.PRESENT, None),
        (Intent.REMOVED, Presence.GONE, None),
        (Intent.REMOVED, Presence.INVALID, None),
    ],
)
def test_a_user_is_counted_under_one_state(intent: Intent, presence: Presence, label: str | None) -> None:
    """What a person decided goes before what was observed; a removed user is not counted."""
    assert tally.user_state(intent, presence) == label
    assert tally.of_user(T, intent, presence) == ({Key(T, Count.USERS, label): 1} if label else {})


amounts = st.dictionaries(st.sampled_from([Key(T, Count.USERS, "active"), Key(T, Count.USERS, "gone")]), st.integers())


@given(amounts.map(Counter), amounts.map(Counter))
def test_a_difference_leads_from_one_count_to_the_other(before: Counter[Key], after: Counter[Key]) -> None:
    """Before plus difference is after; a difference holds no zeros and leaves its inputs alone."""
    copies = Counter(before), Counter(after)
    moved = tally.difference(before, after)
    assert all(before[key] + moved[key] == after[key] for key in before.keys() | after.keys())
    assert 0 not in moved.values()
    assert (before, after) == copies


def test_keys_have_one_order() -> None:
    """Rows are moved in the order of their keys, so that two writers cannot lock each other out."""
    keys = [Key("b", Count.USERS), Key("a", Count.USERS, "x"), Key("a", Count.CONNECTIONS, "z"), Key("a", Count.USERS)]
    assert sorted(keys) == [keys[2], keys[3], keys[1], keys[0]]

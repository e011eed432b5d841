"""Isolation: removing one user from what is evaluated removes exactly that user's decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerting import AlertState
from monitor.core.evaluation import Docket, Entry, evaluate
from monitor.core.incidents import Wave, key_of
from monitor.core.policy import IncidentRule, Policy
from tests.core.lives import Answer, lived, stories
from tests.core.samples import NOON, broken, connected, snapshot
from tests.core.strategies import policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.alerting import Alert
    from monitor.core.model import Transition

Story = list[tuple[Answer, timedelta]]
USERS: Final = [UUID(int=number) for number in range(1, 4)]
RULE: Final = IncidentRule(min_users=len(USERS) + 1, hold=timedelta(minutes=1), longest_hold=timedelta(minutes=15))
"""No incident can open: one user more or less passes no threshold."""
LATER: Final = NOON + timedelta(days=2)


def docket(policy: Policy, lives: Sequence[Story]) -> Docket:
    """Return everything that waits of these users: the second half of each life, and what stood before it."""
    entries: list[Entry] = []
    standing: list[Alert] = []
    history: dict[tuple[object, str], list[Transition]] = {}
    for user, story in zip(USERS, lives, strict=True):
        before = lived(policy, story[: len(story) // 2])
        mine = [moved(each, user) for each in lived(policy, story).transitions]
        past, new = mine[: len(before.transitions)], mine[len(before.transitions) :]
        entries += [Entry(number=len(entries), user=each.user, transition=each) for each in new if not each.baseline]
        standing += [
            replace(each, id=uuid5(user, str(each.id)), user=replace(each.user, user_id=user))
            for each in before.desk.open.values()
        ]
        for each in past:
            if each.provider and each.resource is None:
                history.setdefault((each.user, each.provider), []).append(each)
    waves = {key_of(each): Wave(connections=100) for each in standing}
    return Docket(entries=entries, standing=standing, history=history, waves=waves)  # type: ignore[arg-type]


def moved(each: Transition, user: UUID) -> Transition:
    """Return the same transition of another user."""
    return replace(each, id=uuid5(user, str(each.id)), user_id=user)


def without(whole: Docket, user: UUID) -> Docket:
    """Return a docket without one user."""
    return replace(
        whole,
        entries=[each for each in whole.entries if each.user.user_id != user],
        standing=[each for each in whole.standing if each.user.user_id != user],
        history={key: each for key, each in whole.history.items() if key[0].user_id != user},
    )


@given(policies, st.lists(stories, min_size=3, max_size=3), st.sampled_from(USERS), st.booleans())
def test_removing_a_user_removes_exactly_its_decisions(
    policy: Policy, lives: list[Story], user: UUID, with_incidents: bool
) -> None:
    """Whatever its transitions say; only the thresholds of incidents count users."""
    policy = replace(policy, incident=RULE if with_incidents else None)
    whole = docket(policy, lives)
    all_of_them, others = evaluate(whole, policy, LATER), evaluate(without(whole, user), policy, LATER)
    assert [each for each in all_of_them.decisions if each.alert.user.user_id != user] == list(others.decisions)
    assert all_of_them.incidents == others.incidents == ()


def test_the_law_is_tried_on_users_that_are_decided_on() -> None:
    """A docket in which nobody has anything to say would prove nothing."""
    quarter = timedelta(minutes=15)
    story: Story = [(snapshot(connected()), quarter), (snapshot(broken()), quarter)] * 2
    decisions = evaluate(docket(Policy(), [story] * 3), Policy(), LATER).decisions
    fired = {each.alert.user.user_id for each in decisions if each.state is AlertState.FIRING}
    assert fired == set(USERS)

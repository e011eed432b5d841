"""One user's answers never affect another user, nor decide for the whole target: laws over long random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.model import Kind, Presence
from tests.core.cohort import FAULTS, GONE, INVALID, MINUTE, NO_FITBIT, NO_ROWS, SECOND, WELL, Cohort, Reply, rows
from tests.core.samples import broken, connected, paused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.core.judge import Verdict

providers: Final = st.sampled_from(["fitbit", "oura", "garmin", "invented:slug"])
waits: Final = st.sampled_from([None, timedelta(0), SECOND, 5 * MINUTE, timedelta(days=365), timedelta(days=-1)])
snapshots: Final = st.builds(
    lambda found, complete: rows(*map(connected, sorted(found)), complete=complete), st.sets(providers), st.booleans()
)
replies: Final = snapshots | st.builds(
    lambda reply, wait: replace(reply, retry_after=wait), st.sampled_from(FAULTS), waits
)
healthy: Final = st.sampled_from([WELL, WELL, rows(broken(), connected("oura")), rows(connected(), paused("oura"))])
Stories = dict[int, list[Reply]]


def script(stories: Mapping[int, Sequence[Reply]]) -> Callable[[int], Reply]:
    """Return each user's answers in their order, again and again."""
    turns = {key: count() for key in stories}
    return lambda key: stories[key][next(turns[key]) % len(stories[key])]


@st.composite
def cohorts(draw: st.DrawFn) -> Stories:
    """Draw a healthy cohort of 11 users or more, of whom one at most has an ailment of its own."""
    keys = range(1, draw(st.integers(11, 14)) + 1)
    stories = {key: draw(st.lists(healthy, min_size=1, max_size=4)) for key in keys}
    if draw(st.booleans()):
        stories[5] = draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    return stories


def lived(stories: Stories) -> tuple[dict[int, list[Verdict]], list[dict[str, object]]]:
    """Return all that was judged of each user in eight minutes, and what was known of the target meanwhile."""
    cohort, answers = Cohort(len(stories), interval=MINUTE), script(stories)
    states = list[dict[str, object]]()
    for _ in range(96):
        cohort.run(5 * SECOND, answers, step=5 * SECOND)
        health, throttle = cohort.health, cohort.budget.throttle
        states.append(
            {
                "verdicts": health.verdicts,
                "ended": health.ended,
                "refused_since": health.refused_since,
                "rate": (throttle.factor, throttle.blocked_until),
            }
        )
    return {key: [each for each in cohort.verdicts if each.claim.key == key] for key in stories}, states


@settings(max_examples=50)
@given(cohorts(), st.lists(replies, min_size=1, max_size=6))
def test_one_more_user_changes_nothing_for_anybody_else(stories: Stories, hostile: list[Reply]) -> None:
    """Whatever it is answered: all others are polled and judged alike, and the target's state is the same."""
    added = len(stories) + 1
    alone, states = lived(stories)
    together, same_states = lived({**stories, added: hostile})
    del together[added]
    assert together == alone
    assert same_states == states
    assert all(state["verdicts"] == {} for state in states)


@settings(max_examples=50)
@given(cohorts(), st.lists(replies, min_size=1, max_size=6))
def test_two_users_of_many_decide_nothing_about_the_target(stories: Stories, hostile: list[Reply]) -> None:
    """Verdicts take three; the question that they may cause is answered."""
    stories[5] = stories[6] = hostile
    _, states = lived(stories)
    assert all(state["verdicts"] == {} and state["rate"] == states[0]["rate"] for state in states)


@settings(max_examples=50)
@given(st.integers(2, 9), st.data())
def test_nothing_is_concluded_that_the_answers_do_not_say(size: int, data: st.DataObject) -> None:
    """In any history each conclusion has its two answers, a minute apart, with nothing to the contrary between."""
    shared = st.lists(st.sampled_from([WELL, GONE, INVALID, NO_ROWS, NO_FITBIT]) | replies, min_size=1, max_size=8)
    stories = {key: data.draw(shared) for key in range(1, size + 1)}
    cohort, answers = Cohort(size, interval=data.draw(st.sampled_from([20 * SECOND, 5 * MINUTE]))), script(stories)
    answered: dict[int, list[tuple[Reply, float]]] = {key: [] for key in stories}

    def noting(key: int) -> Reply:
        reply = answers(key)
        answered[key].append((reply, cohort.now.timestamp()))
        return reply

    cohort.run(20 * MINUTE, noting, step=5 * SECOND)
    for key in stories:
        verdicts = [verdict for verdict in cohort.verdicts if verdict.claim.key == key]
        for number, verdict in enumerate(verdicts):
            _has_its_reason(verdict, answered[key][: number + 1])


def _has_its_reason(verdict: Verdict, answered: Sequence[tuple[Reply, float]]) -> None:
    """Hold a conclusion against all that its user was answered up to it."""
    reply, now = answered[-1]
    if verdict.claim.presence is Presence.PRESENT and verdict.presence is not Presence.PRESENT:
        wanted = GONE if verdict.presence is Presence.GONE else INVALID
        assert reply.outcome is wanted.outcome
        said = [(at, each.outcome is wanted.outcome, each.snapshot is not None) for each, at in answered]
        assert now - _first_in_a_row(said) >= 60
    for transition in verdict.change.transitions if verdict.change else ():
        if transition.kind is Kind.DISAPPEARED:
            said = [(at, *_says_of(each, transition.provider)) for each, at in answered]
            assert said[-1][1]
            assert now - _first_in_a_row(said) >= 60


def _says_of(reply: Reply, provider: str | None) -> tuple[bool, bool]:
    """Return whether an answer says that a row is missing, and whether it says that it is there."""
    if reply.snapshot is None:
        return False, False
    is_there = provider in reply.snapshot.connections
    return reply.snapshot.complete and not is_there, is_there


def _first_in_a_row(said: Sequence[tuple[float, bool, bool]]) -> float:
    """Return when an absence was said first, by the latest answers of which none contradicts it."""
    first = said[-1][0]
    for at, is_absent, is_there in reversed(said):
        if is_there:
            break
        if is_absent:
            first = at
    return first

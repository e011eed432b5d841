"""Laws of what is known of a target: no order, no exception, an end to everything, no absence believed too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.budget import NEW, Budget, Pace
from monitor.core.cadence import CONFIRM_AFTER
from monitor.core.judge import TargetView
from monitor.core.model import Outcome
from monitor.core.target_health import (
    REMEMBERED_ENDS,
    Fault,
    PollAnswer,
    RecentPoll,
    RecentPolls,
    Streak,
    TargetHealth,
    TargetVerdict,
    after_question,
    assess,
    verdict_key,
)
from tests.core.cohort import FAULTS, MINUTE, SECOND, WELL, Cohort
from tests.core.samples import NOON, doubt

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

seconds: Final = st.integers(-90, 90).map(lambda offset: NOON + timedelta(seconds=offset))
anytime: Final = seconds | st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants bounds without a zone
missing: Final = st.frozensets(st.sampled_from(["fitbit", "oura", "a:b", ""]), max_size=3)
keys: Final = st.integers(1, 12)
codes: Final = st.sampled_from(["200", "401", "404", "429", "500", "503", "timeout"])
waits: Final = st.none() | st.timedeltas()


@st.composite
def answers(draw: st.DrawFn, times: st.SearchStrategy[datetime] = seconds) -> PollAnswer:
    """Draw any answer at all."""
    return PollAnswer(
        key=draw(keys),
        outcome=draw(st.sampled_from(Outcome)),
        code=draw(codes),
        asked_at=draw(times),
        at=draw(times),
        counts=draw(st.booleans()),
        missing=draw(missing),
        is_doubted=draw(st.booleans()),
        retry_after=draw(waits),
    )


batches: Final = st.lists(answers(), max_size=12, unique_by=lambda answer: answer.key)
polls: Final = st.builds(
    RecentPoll, key=keys, at=seconds, outcome=st.none() | st.sampled_from(Outcome), missing=missing
)
recents: Final = st.builds(
    RecentPolls,
    polls=st.lists(polls, max_size=12, unique_by=lambda poll: poll.key),
    users=st.integers(0, 15),
)


@st.composite
def healths(draw: st.DrawFn, times: st.SearchStrategy[datetime] = seconds) -> TargetHealth:
    """Draw any state of a target."""
    faults = draw(st.sets(st.sampled_from([each for each in Fault if each is not Fault.PROVIDER_MISSING])))
    verdicts = {fault.value: TargetVerdict(fault=fault, since=draw(times)) for fault in faults}
    for provider in draw(st.sets(st.sampled_from(["fitbit", "a:b"]))):
        verdict = TargetVerdict(fault=Fault.PROVIDER_MISSING, since=draw(times), provider=provider)
        verdicts[verdict_key(Fault.PROVIDER_MISSING, provider)] = verdict
    streaks = st.builds(Streak, since=times, polls=st.integers(0, 9), users=st.just((1, 2, 3)))
    return TargetHealth(
        verdicts=verdicts,
        ended=draw(st.dictionaries(st.sampled_from([*Fault, "provider_missing:fitbit"]), times)),
        streak=draw(st.none() | streaks),
        refused_since=draw(st.none() | times),
        question_is_due=draw(st.booleans()),
        asked_at=draw(times),
    )


@given(healths(), batches, recents, st.randoms(use_true_random=False))
def test_the_answers_of_a_batch_have_no_order(
    health: TargetHealth, batch: list[PollAnswer], others: RecentPolls, chance: random.Random
) -> None:
    """Replicas and slots answer in any order; the target's state and rate are the same."""
    shuffled = chance.sample(batch, len(batch))
    recent = others.with_answers(batch)
    assert others.with_answers(shuffled) == recent
    budget = replace(Pace(rate=10).applied(NEW), health=health)
    assert budget.after_answers(shuffled, recent, NOON) == budget.after_answers(batch, recent, NOON)


@settings(max_examples=200)
@given(healths(anytime), st.lists(st.tuples(st.lists(answers(anytime), max_size=8), anytime), max_size=6), answers())
def test_no_answers_are_too_odd(
    health: TargetHealth, story: list[tuple[list[PollAnswer], datetime]], question: PollAnswer
) -> None:
    """Nothing is raised, whatever comes when; what is kept stays bounded, and is not ahead of the clock."""
    budget, recent = replace(Pace(rate=10).applied(NEW), health=health), RecentPolls(polls=[], users=0)
    for batch, now in story:
        recent = recent.with_answers(batch)
        budget = budget.after_answers(batch, recent, now)
        asked = after_question(budget.health, question, answered_meanwhile=False, users=recent.users, now=now)
        budget = replace(budget, health=asked).spend(budget.allows(1, now), now)
        _is_bounded(budget, recent, now)


def _is_bounded(budget: Budget, recent: RecentPolls, now: datetime) -> None:
    health = budget.health
    assert len(recent.polls) <= 200
    assert len(health.ended) <= REMEMBERED_ENDS
    assert len(health.streak.users if health.streak else ()) <= 3
    assert health.not_ahead_of(now) is health or health.streak is not None
    assert not (health.unreachable and Fault.THROTTLED in health.verdicts)
    assert 1 / 32 <= budget.throttle.factor <= 1


@settings(max_examples=50)
@given(st.integers(1, 9), st.lists(st.tuples(st.dictionaries(st.integers(1, 9), st.sampled_from(FAULTS)), seconds)))
def test_good_answers_of_everybody_end_every_verdict(
    size: int, story: list[tuple[dict[int, object], datetime]]
) -> None:
    """After any history, at once; throttling when the whole rate is back, half a minute later."""
    cohort = Cohort(size)
    cohort.poll_all(WELL)
    for replies, now in sorted(story, key=lambda step: step[1]):
        cohort.now = max(cohort.now, now)
        cohort.poll({key: reply for key, reply in replies.items() if key <= size})  # type: ignore[misc]
        cohort.ask()
    cohort.poll_all(WELL, after=SECOND)
    assert cohort.faults <= {"throttled"}
    cohort.now += MINUTE
    cohort.budget = cohort.budget.spend(0, cohort.now)
    assert cohort.faults == set()


BY_FAULTS: Final = [("not_found",), ("users_invalid",), ("connections_missing", "provider_missing:fitbit")]


@given(healths(), recents, seconds, st.sampled_from(BY_FAULTS))
def test_an_absence_is_confirmed_only_when_everything_is_for_it(
    health: TargetHealth, recent: RecentPolls, first: datetime, faults: tuple[str, ...]
) -> None:
    """A minute later, in no such fault and not by an answer from before its end, and after ten or all others."""
    view = TargetView(health=health, recent=recent)
    others = [poll for poll in recent.polls if poll.key != 1 and poll.at > first]
    reasons_against = [
        NOON - first < CONFIRM_AFTER,
        any(fault in health.verdicts for fault in faults),
        any(health.ended[fault] > first for fault in faults if fault in health.ended),
        len(others) < min(10, recent.users - 1),
        bool(set(faults) & _shared_since(recent, first)),
    ]
    assert view.confirms(1, doubt(first), faults, NOON) is not any(reasons_against)


def _shared_since(recent: RecentPolls, first: datetime) -> set[str]:
    since = RecentPolls(polls=[poll for poll in recent.polls if poll.at > first], users=recent.users)
    return set(assess(TargetHealth(), [], since, NOON).verdicts)


@given(healths(), st.none() | st.builds(doubt, seconds), st.sampled_from(BY_FAULTS))
def test_a_doubt_is_never_of_the_future_and_never_from_before_an_end(
    health: TargetHealth, held: object, faults: tuple[str, ...]
) -> None:
    """It keeps its first answer where that may be confirmed, and begins anew otherwise."""
    view = TargetView(health=health.not_ahead_of(NOON))
    renewed = view.renewed(held, faults, NOON)  # type: ignore[arg-type]
    assert view.health.last_end_of(faults) <= renewed.first <= NOON
    assert renewed.since <= renewed.first
    if held is not None and renewed.first != NOON:
        assert renewed == held


@given(st.lists(seconds, max_size=30), seconds)
def test_ten_others_are_enough_and_all_others_too(polled: Sequence[datetime], since: datetime) -> None:
    """By any count of users and of polls."""
    found = [RecentPoll(key=key, at=at) for key, at in enumerate(polled)]
    recent = RecentPolls(polls=found, users=len(found))
    later = [poll for poll in found if poll.at > since and poll.key]
    everybody = len(later) == len(found[1:])
    assert recent.polled_others(0, since) is (len(later) >= 10 or everybody)

"""What all replicas share of a target: its rate, and its state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import budget
from monitor.core.budget import NEW, Budget, Pace
from monitor.core.model import Outcome
from monitor.core.target_health import Fault, PollAnswer, RecentPoll, RecentPolls, TargetHealth, TargetVerdict
from tests.core.samples import NOON

SECOND = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def faulty(*faults: Fault) -> Budget:
    """Return a budget of a target that has had these faults since noon, and was probed then."""
    verdicts = {fault.value: TargetVerdict(fault=fault, since=NOON) for fault in faults}
    return replace(FULL, health=TargetHealth(verdicts=verdicts), probed_at=NOON if faults else FULL.probed_at)


def refusals(*keys: int, code: str = "429", wait: float | None = None, counts: bool = True) -> list[PollAnswer]:
    """Return that these users were throttled at noon."""
    return [
        PollAnswer(
            key=key,
            outcome=Outcome.THROTTLED,
            code=code,
            asked_at=NOON,
            at=NOON,
            counts=counts,
            retry_after=None if wait is None else wait * SECOND,
        )
        for key in keys
    ]


def after(before: Budget, answers: list[PollAnswer], *, well: int = 17, now: datetime = NOON) -> Budget:
    """Return the budget after ``answers``, with so many other users that were answered at noon."""
    polls = [RecentPoll(key=100 + number, at=NOON) for number in range(well)]
    recent = RecentPolls(polls=polls, users=well + 3).with_answers(answers)
    return before.after_answers(answers, recent, now)


FULL = Pace(rate=64.0).applied(NEW)
REJECTED = faulty(Fault.REJECTED)
UNREACHABLE = faulty(Fault.UNREACHABLE)


def test_a_new_budget_allows_a_second_s_worth() -> None:
    """A burst is bounded by the rate, and what is wanted bounds it too."""
    assert FULL.allows(1000, NOON) == 64
    assert FULL.allows(10, NOON) == 10


def test_what_is_spent_is_gone_until_it_comes_back() -> None:
    """All replicas together stay within the rate."""
    spent = FULL.spend(64, NOON)
    assert spent.allows(1000, NOON) == 0
    assert spent.allows(1000, at(0.5)) == 32


def test_what_was_allowed_and_not_made_is_given_back() -> None:
    """Users that somebody else had in hand cost nothing."""
    assert budget.unspent(20)(FULL.spend(64, NOON)).allows(1000, NOON) == 20


def test_the_rate_is_that_of_whoever_spends() -> None:
    """A new configuration holds from its first claim on."""
    assert Pace(rate=8.0).applied(FULL.spend(64, NOON)).allows(1000, at(60)) == 8


def test_lessons_are_taken_in_one_after_the_other() -> None:
    """What was learned since the last claim counts at the next one."""
    pace = Pace(rate=64.0, lessons=(budget.unspent(3), budget.unspent(4)))
    assert pace.applied(FULL.spend(64, NOON)).allows(1000, NOON) == 7


# --- throttled ---


def test_three_throttled_users_slow_everybody() -> None:
    """The rate is halved for all, and all wait as long as the target asks for."""
    slowed = after(FULL, refusals(1, 2, 3, wait=5))
    assert slowed.throttle.factor == 1 / 2
    assert slowed.allows(1000, at(4.9)) == 0
    assert slowed.allows(1000, at(5)) == 32
    assert slowed.health.verdicts["throttled"].code == "429"
    assert slowed.health.is_up


@pytest.mark.parametrize("code", ["429", "503"])
def test_the_verdict_names_the_code(code: str) -> None:
    """Whether or not the answer asks for a wait."""
    assert after(FULL, refusals(1, 2, 3, code=code)).health.verdicts["throttled"].code == code


@pytest.mark.parametrize("keys", [(1,), (1, 2), (1, 1, 1)])
def test_fewer_throttled_users_slow_nobody_else(keys: tuple[int, ...]) -> None:
    """They are single users, whatever they are told to wait for and however often they are polled."""
    unmoved = after(FULL, refusals(*keys, wait=900))
    assert (unmoved.throttle, unmoved.health.verdicts) == (FULL.throttle, {})


def test_the_one_user_that_there_is_slows_its_target() -> None:
    """All of them, where there are fewer than three."""
    answers = refusals(1)
    recent = RecentPolls(polls=[], users=1).with_answers(answers)
    assert FULL.after_answers(answers, recent, NOON).throttle.factor == 1 / 2


@pytest.mark.parametrize(("well", "factor"), [(57, 1 / 2), (58, 1.0)])
def test_three_of_many_users_slow_nobody_else(well: int, factor: float) -> None:
    """It takes a twentieth of the answers of the last ten seconds."""
    assert after(FULL, refusals(1, 2, 3), well=well).throttle.factor == factor


@pytest.mark.parametrize(("ago", "factor"), [(10, 1 / 2), (10.001, 1.0)])
def test_the_three_must_have_been_throttled_within_ten_seconds(ago: float, factor: float) -> None:
    """Longer ago is another matter."""
    polls = [RecentPoll(key=key, at=at(-ago), outcome=Outcome.THROTTLED) for key in (1, 2)]
    answers = refusals(3)
    recent = RecentPolls(polls=polls, users=10).with_answers(answers)
    assert FULL.after_answers(answers, recent, NOON).throttle.factor == factor


def test_users_that_do_not_count_throttle_nobody() -> None:
    """Such as those that are gone."""
    assert after(FULL, refusals(1, 2, 3, counts=False)).throttle == FULL.throttle


def test_only_throttled_answers_have_a_say_in_how_long_to_wait() -> None:
    """A failure that asks for a wait is the affair of its user."""
    failed = replace(refusals(4, wait=200)[0], outcome=Outcome.UNAVAILABLE, code="500")
    gone = refusals(5, wait=200, counts=False)
    slowed = after(FULL, [*refusals(1, 2, 3, wait=5), failed, *gone])
    assert slowed.throttle.blocked_until == at(5)


def test_an_answer_without_news_of_throttling_does_not_repeat_it() -> None:
    """Those of ten seconds ago were taken in then."""
    slowed = after(FULL, refusals(1, 2, 3))
    fine = [PollAnswer(key=9, outcome=Outcome.UNCHANGED, code="200", asked_at=at(2), at=at(2))]
    polls = [RecentPoll(key=key, at=NOON, outcome=Outcome.THROTTLED) for key in (1, 2, 3)]
    recent = RecentPolls(polls=polls, users=10).with_answers(fine)
    assert slowed.after_answers(fine, recent, at(2)).throttle == slowed.throttle


def test_throttling_is_over_when_the_whole_rate_is_back() -> None:
    """Found by the next claim, and remembered with its time."""
    slowed = after(FULL, refusals(1, 2, 3))
    assert "throttled" in slowed.spend(0, at(13.9)).health.verdicts
    freed = slowed.spend(0, at(14)).health
    assert (freed.verdicts, freed.ended) == ({}, {"throttled": at(14)})


def test_a_503_outage_is_not_also_called_throttling() -> None:
    """It is one fault: the target is unreachable."""
    answers = refusals(1, 2, 3, code="503")
    assert "throttled" not in after(UNREACHABLE, answers).health.verdicts


# --- probes ---


@pytest.mark.parametrize(
    ("held", "every", "until"), [(REJECTED, 30, 120), (UNREACHABLE, 1, 4)], ids=["rejected", "unreachable"]
)
def test_a_target_that_does_not_work_is_probed_now_and_then(held: Budget, every: int, until: int) -> None:
    """One user each 30 s or each second, however many replicas want to go."""
    now, allowed = held, list[float]()
    for tick in range(4 * until + 1):
        for _ in range(3):
            count = now.allows(64, at(tick / 4))
            now = now.spend(count, at(tick / 4))
            allowed += [tick / 4] * count
    assert allowed == [every, 2 * every, 3 * every, 4 * every]


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.REJECTED, Fault.UNREACHABLE}))
def test_polls_go_on_while_a_target_is_only_in_doubt(fault: Fault) -> None:
    """At the whole rate."""
    assert faulty(fault).allows(1000, at(1)) == 64


def test_a_probe_nobody_wants_is_not_spent() -> None:
    """With no user due the next one may go at once."""
    assert REJECTED.allows(0, at(30)) == 0
    assert REJECTED.spend(0, at(30)).allows(1, at(31)) == 1


def test_a_probe_is_paid_for() -> None:
    """Like any other request."""
    spent = REJECTED.spend(1, at(30))
    assert spent.throttle == REJECTED.throttle.take(1, at(30))[1]
    assert spent.probed_at == at(30)


def test_a_new_process_may_probe_at_once() -> None:
    """It may have been started with a new key."""
    assert budget.probing(REJECTED).allows(64, at(1)) == 1


@given(st.timedeltas(SECOND, timedelta(days=3650)))
def test_a_clock_that_steps_back_does_not_prolong_a_rejection(step: timedelta) -> None:
    """A probe may go in the new time, its answer ends the rejection, and 30 s still lie between probes."""
    now = NOON - step
    assert REJECTED.allows(64, now) == 1
    probed = REJECTED.spend(1, now)
    assert probed.allows(64, now + 29 * SECOND) == 0
    answer = PollAnswer(key=1, outcome=Outcome.UNCHANGED, code="200", asked_at=now, at=now)
    recent = RecentPolls(polls=[], users=1).with_answers([answer])
    assert probed.after_answers([answer], recent, now).health.rejected is None


@pytest.mark.parametrize("held", [REJECTED, UNREACHABLE])
def test_what_waits_is_stopped_by_a_verdict_that_came_after_it_was_allowed(held: Budget) -> None:
    """The probe, which was allowed with it or after it, is not."""
    assert held.blocks(at(-1), at(1))
    assert not held.blocks(NOON, at(1))
    assert not held.blocks(at(30), at(31))


def test_what_waits_is_stopped_for_as_long_as_the_target_asks() -> None:
    """Without a time to wait it may go on at the lower rate; what was allowed after the refusal may start."""
    asked = after(FULL, refusals(1, 2, 3, wait=5))
    assert asked.blocks(at(-1), at(4))
    assert not asked.blocks(at(-1), at(5))
    assert not asked.blocks(NOON, at(4))
    assert not after(FULL, refusals(1, 2, 3)).blocks(at(-1), at(1))
    assert not FULL.blocks(NOON, at(1))


# --- requests beside polls ---


def test_requests_beside_polls_are_paid_for() -> None:
    """All requests to a target share its rate."""
    granted, spent = FULL.spend_reserved(10, NOON)
    assert (granted, spent.allows(1000, NOON)) == (10, 54)


def test_a_rejected_target_is_asked_nothing_else() -> None:
    """Neither user lists nor sweeps; those of an unreachable one may find out that it is back."""
    assert REJECTED.spend_reserved(10, at(1)) == (0, REJECTED)
    assert UNREACHABLE.spend_reserved(10, at(1))[0] == 10


def suspected(asked_at: datetime = NOON) -> Budget:
    """Return a budget of a target that is to be asked about itself, and was asked then."""
    return replace(FULL, health=TargetHealth(question_is_due=True, asked_at=asked_at))


@pytest.mark.parametrize(
    ("held", "every"),
    [(suspected(), 10), (replace(REJECTED, health=replace(REJECTED.health, asked_at=NOON)), 30)],
    ids=["suspected", "rejected"],
)
def test_the_question_is_asked_at_most_so_often(held: Budget, every: int) -> None:
    """However many replicas see a reason; it is paid for."""
    assert held.ask(at(every - 0.001))[0] is False
    asks, asked = held.ask(at(every))
    assert (asks, asked.health.asked_at) == (True, at(every))
    assert asked.throttle.take(1000, at(every))[0] == 63
    assert asked.ask(at(every)) == (False, asked)


@pytest.mark.parametrize("held", [FULL, faulty(Fault.NOT_FOUND), UNREACHABLE])
def test_nothing_is_asked_without_a_reason(held: Budget) -> None:
    """Most targets never are."""
    assert held.ask(at(60)) == (False, held)


def test_a_question_that_finds_no_room_is_asked_when_a_tenth_is_kept_for_it() -> None:
    """Polls that take all they get do not put it off for more than a moment."""
    now, asked_at = suspected(at(-60)).spend(64, NOON), list[float]()
    for tick in range(9):
        asks, now = now.ask(at(tick / 4))
        asked_at += [tick / 4] * asks
        now = now.spend(now.allows(1000, at(tick / 4)), at(tick / 4))
    assert asked_at == [0.25]


@given(st.timedeltas(SECOND, timedelta(days=3650)))
def test_a_clock_that_steps_back_delays_no_question(step: timedelta) -> None:
    """It is asked in the new time at once."""
    assert suspected().ask(NOON - step)[0]


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 3)), max_size=60),
    st.floats(1, 500),
)
def test_replicas_together_never_exceed_the_rate(asked: list[tuple[int, float]], rate: float) -> None:
    """In any stretch of time no more is granted than the rate gives and a burst of one second."""
    shared: Budget = NEW
    now, granted = NOON, list[tuple[datetime, int]]()
    for wanted, wait in asked:
        now += timedelta(seconds=wait)
        shared = Pace(rate=rate).applied(shared)
        count = shared.allows(wanted, now)
        shared = shared.spend(count, now)
        granted.append((now, count))
    for start, (since, _) in enumerate(granted):
        total = sum(count for _, count in granted[start:])
        assert total <= rate * ((now - since).total_seconds() + max(1.0, 1 / rate)) + 1e-3

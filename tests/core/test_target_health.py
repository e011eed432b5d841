"""Whether a target as a whole answers: rejected, unreachable, throttled, and how these verdicts end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from monitor.core.model import OBSERVED, Outcome
from monitor.core.target_health import (
    DOWN,
    REMEMBERED_ENDS,
    UNUSABLE,
    USABLE,
    Fault,
    PollAnswer,
    RecentPoll,
    RecentPolls,
    Streak,
    TargetHealth,
    TargetVerdict,
    after_question,
    assess,
    set_throttled,
    verdict_key,
)
from tests.core.samples import NOON

UNUSABLE_ANSWERS = [(outcome, "500") for outcome in sorted(UNUSABLE)] + [(Outcome.THROTTLED, "503")]
ANSWERS = [(outcome, "200") for outcome in Outcome] + [(Outcome.THROTTLED, "503")]


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def answer(key: int, outcome: Outcome, seconds: float = 0, code: str = "200", **facts: Any) -> PollAnswer:
    """Return what a user was answered at this second, as soon as it was asked for."""
    facts = {"asked_at": at(seconds), "at": at(seconds)} | facts
    return PollAnswer(key=key, outcome=outcome, code=code, **facts)


def recent(*polls: tuple[int, Outcome | None], seconds: float = 0, users: int = 0) -> RecentPolls:
    """Return the latest answers of these users, None for a good one."""
    found = [RecentPoll(key=key, at=at(seconds), outcome=outcome) for key, outcome in polls]
    return RecentPolls(polls=found, users=max(users, len(found)))


def faulty(*faults: Fault, seconds: float = 0, **facts: Any) -> TargetHealth:
    """Return a target with these faults since then."""
    return TargetHealth(
        verdicts={fault.value: TargetVerdict(fault=fault, since=at(seconds), **facts) for fault in faults}
    )


def met(health: TargetHealth, others: RecentPolls, *answers: PollAnswer, seconds: float = 0) -> TargetHealth:
    """Return the health after these answers, beside what is known of other users."""
    return assess(health, answers, others.with_answers(answers), at(seconds))


WELL = recent(*[(100 + number, None) for number in range(7)])
"""Seven users that were answered."""


def test_a_new_target_is_taken_to_be_well() -> None:
    """Until its users or a question say otherwise."""
    health = TargetHealth()
    assert (health.is_up, health.is_calm, health.probe_every) == (True, True, None)
    assert not health.asks(NOON)


@pytest.mark.parametrize("fault", Fault)
def test_a_target_is_down_while_it_is_rejected_unreachable_or_implausible(fault: Fault) -> None:
    """One provider's missing rows and throttling leave it up."""
    assert faulty(fault).is_up is (fault in {Fault.PROVIDER_MISSING, Fault.THROTTLED})
    assert (fault in DOWN) is not faulty(fault).is_up
    assert not faulty(fault).is_calm


def test_every_fault_has_the_contract_s_word() -> None:
    """Three of them are ways of being implausible."""
    assert [fault.reason for fault in Fault] == [
        "rejected",
        "not_found",
        "unreachable",
        "implausible",
        "implausible",
        "implausible",
        "throttled",
    ]


@pytest.mark.parametrize("suspicion", [{"streak": Streak(since=NOON)}, {"refused_since": NOON}])
def test_a_suspicion_is_no_calm(suspicion: dict[str, Any]) -> None:
    """Good answers have to be taken in until it is over."""
    assert not replace(TargetHealth(), **suspicion).is_calm


def test_every_outcome_is_usable_or_a_failure_or_a_refusal() -> None:
    """404 and 422 say something about their user, so the key is accepted and the API works."""
    assert OBSERVED | {Outcome.GONE, Outcome.INVALID} == USABLE
    assert USABLE | UNUSABLE | {Outcome.REJECTED, Outcome.THROTTLED} == set(Outcome)
    assert not USABLE & UNUSABLE


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("counts", [True, False])
def test_good_answers_of_a_target_that_is_well_are_not_remarkable(outcome: Outcome, counts: bool) -> None:
    """Of users that do not count only a refusal is, since it asks for the question."""
    expected = outcome not in OBSERVED if counts else outcome is Outcome.REJECTED
    assert answer(1, outcome, counts=counts).is_remarkable is expected


@pytest.mark.parametrize("fact", [{"missing": frozenset({"oura"})}, {"is_doubted": True}])
def test_an_absence_makes_an_answer_remarkable(fact: dict[str, Any]) -> None:
    """It is judged against the target's state."""
    assert answer(1, Outcome.CHANGED, **fact).is_remarkable
    assert not answer(1, Outcome.CHANGED, counts=False, **fact).is_remarkable


# --- rejected ---


@pytest.mark.parametrize("counts", [True, False])
def test_a_refused_user_is_a_reason_to_ask_and_nothing_more(counts: bool) -> None:
    """The target stays up; every kind of user may be the first to meet a revoked key."""
    health = met(TargetHealth(), WELL, answer(1, Outcome.REJECTED, counts=counts))
    assert (health.verdicts, health.question_is_due) == ({}, True)
    assert health.asks(NOON)


@pytest.mark.parametrize(
    ("outcome", "answered_meanwhile", "is_suspected"),
    [
        (Outcome.REJECTED, False, True),
        (Outcome.REJECTED, True, False),
        *[(outcome, False, False) for outcome in sorted(set(Outcome) - {Outcome.REJECTED})],
    ],
)
def test_a_refused_question_is_a_suspicion(outcome: Outcome, answered_meanwhile: bool, is_suspected: bool) -> None:
    """Unless a user got a usable answer since it was sent; some keys may not list users, so it is no verdict yet."""
    question = answer(0, outcome, code="401", counts=False, detail="no such key")
    health = after_question(TargetHealth(), question, answered_meanwhile=answered_meanwhile, users=9, now=at(1))
    assert health.rejected is None
    assert (health.refused_question is not None) is is_suspected
    assert health.is_calm is not is_suspected


SUSPECTED: Final = after_question(
    TargetHealth(),
    answer(0, Outcome.REJECTED, code="401", counts=False, detail="no such key"),
    answered_meanwhile=False,
    users=9,
    now=NOON,
)

OTHERS: Final = recent((9, None), seconds=-60, users=9)
"""Of nine users one was answered before the question."""


def test_users_that_are_refused_after_the_question_reject_the_target() -> None:
    """Three of them, with nobody answered in between; the verdict says what the question was told."""
    refused = [answer(user, Outcome.REJECTED, seconds=1) for user in (1, 2, 3)]
    health = met(SUSPECTED, OTHERS, *refused, seconds=1)
    wanted = TargetVerdict(fault=Fault.REJECTED, since=at(1), code="401", detail="no such key")
    assert health.rejected == wanted
    assert health.refused_question is None
    fewer = met(SUSPECTED, OTHERS, *refused[:2], seconds=1)
    assert fewer.rejected is None


def test_one_user_that_is_refused_for_a_minute_after_the_question_rejects_the_target() -> None:
    """Where few users are polled it does not take three of them."""
    early, late = (answer(1, Outcome.REJECTED, seconds=seconds) for seconds in (59, 61))
    assert met(SUSPECTED, OTHERS, early, seconds=59).rejected is None
    assert met(SUSPECTED, OTHERS, late, seconds=61).rejected is not None


def test_one_user_that_is_answered_after_the_question_clears_the_target() -> None:
    """The key works, whatever else it may not do."""
    answers = [
        answer(1, Outcome.UNCHANGED, seconds=1),
        *(answer(user, Outcome.REJECTED, seconds=2) for user in (2, 3, 4)),
    ]
    health = met(SUSPECTED, OTHERS, *answers, seconds=2)
    assert health.rejected is None
    assert health.refused_question is None


def test_every_fault_has_a_description_for_people() -> None:
    """One sentence each, none twice."""
    descriptions = [fault.description for fault in Fault]
    assert len(set(descriptions)) == len(descriptions)
    assert all(descriptions)


@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
def test_a_question_that_is_not_answered_is_repeated(outcome: Outcome, code: str) -> None:
    """After ten seconds; an answer decides it."""
    asked = replace(TargetHealth(), question_is_due=True, asked_at=NOON)
    question = answer(0, outcome, code=code, counts=False)
    health = after_question(asked, question, answered_meanwhile=True, users=9, now=at(1))
    assert health.question_is_due is (outcome in UNUSABLE | {Outcome.THROTTLED})
    assert not health.asks(at(9.9))
    assert health.asks(at(10)) is health.question_is_due


def test_a_rejected_target_is_asked_every_30_seconds() -> None:
    """Whether or not there was another reason to."""
    rejected = replace(faulty(Fault.REJECTED), asked_at=NOON)
    assert not rejected.asks(at(29.9))
    assert rejected.asks(at(30))


def refused_for(seconds: float, users: int = 9) -> TargetHealth:
    """Return the health of a target whose users are all refused for so long, whatever the question says."""
    health = TargetHealth()
    for moment in (0.0, seconds):
        refused = [answer(key, Outcome.REJECTED, moment, code="403", detail="no") for key in range(users)]
        health = met(health, recent(), *refused, seconds=moment)
    return health


@pytest.mark.parametrize("users", [1, 3, 9])
def test_a_target_is_rejected_when_all_users_are_refused_for_60_seconds(users: int) -> None:
    """A key may list users and yet not read them."""
    assert refused_for(59.9, users).rejected is None
    verdict = TargetVerdict(fault=Fault.REJECTED, since=at(60), code="403", detail="no")
    assert refused_for(60, users).rejected == verdict


@pytest.mark.parametrize("others", [recent((9, None)), recent((9, Outcome.GONE)), recent((9, Outcome.TIMEOUT))])
def test_one_user_that_is_not_refused_is_enough_against_it(others: RecentPolls) -> None:
    """All have to be, and the 60 s begin anew after it."""
    health = met(refused_for(30), others, *[answer(key, Outcome.REJECTED, 60) for key in range(9)], seconds=60)
    assert (health.rejected, health.refused_since) == (None, None)


def test_two_refused_users_of_many_are_not_all() -> None:
    """Where nobody else was polled lately nobody can tell."""
    health = TargetHealth(refused_since=NOON)
    refused = [answer(key, Outcome.REJECTED, 90) for key in (1, 2)]
    assert met(health, recent(users=9), *refused, seconds=90).rejected is None
    assert met(health, recent(users=2), *refused, seconds=90).rejected is not None


def test_a_verdict_needs_a_refusal_to_name() -> None:
    """An answer of another user, that does not count, brings none about."""
    health = TargetHealth(refused_since=NOON)
    others = recent(*[(key, Outcome.REJECTED) for key in range(3)], seconds=90)
    assert met(health, others, answer(9, Outcome.TIMEOUT, 90, counts=False), seconds=90).rejected is None


@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
@pytest.mark.parametrize("counts", [True, False])
def test_a_rejection_ends_with_a_usable_answer(outcome: Outcome, code: str, counts: bool) -> None:
    """Of any user; another refusal or a failure is no sign of a good key."""
    probed = met(faulty(Fault.REJECTED), recent(), answer(1, outcome, 30, code, counts=counts), seconds=31)
    assert (probed.rejected is None) is (outcome in USABLE)
    assert probed.ended == ({"rejected": at(31)} if outcome in USABLE else {})


def test_a_refusal_while_rejected_moves_nothing() -> None:
    """The first reason and time stand."""
    rejected = faulty(Fault.REJECTED)
    assert met(rejected, recent(), answer(1, Outcome.REJECTED, 30), seconds=30) == rejected


def test_an_answer_asked_for_before_the_rejection_does_not_end_it() -> None:
    """What was in flight when the key was revoked says nothing of the key now."""
    late = answer(1, Outcome.UNCHANGED, 12, asked_at=at(9.999))
    assert met(faulty(Fault.REJECTED, seconds=10), recent(), late, seconds=12).rejected
    probe = replace(late, asked_at=at(10))
    assert not met(faulty(Fault.REJECTED, seconds=10), recent(), probe, seconds=12).rejected


# --- unreachable ---


def failing(
    *keys: int, users: int = 9, others: RecentPolls | None = None, lasts: float = 10, code: str = "500"
) -> TargetHealth:
    """Return the health after polls of these users, one after the other, that failed."""
    health, outcome = TargetHealth(), Outcome.THROTTLED if code == "503" else Outcome.UNAVAILABLE
    for number, key in enumerate(keys):
        moment = lasts * number / (len(keys) - 1)
        known = others or recent(*[(earlier, outcome) for earlier in dict.fromkeys(keys[:number])], users=users)
        health = met(health, known, answer(key, outcome, moment, code), seconds=moment)
    return health


@pytest.mark.parametrize("code", ["500", "503", "timeout"])
def test_five_polls_of_three_users_over_ten_seconds_make_it_unreachable(code: str) -> None:
    """Where no recently polled user has a usable answer; a 503 is none."""
    assert failing(1, 2, 3, 1, 2, code=code).unreachable == TargetVerdict(
        fault=Fault.UNREACHABLE, since=at(10), code=code
    )


@pytest.mark.parametrize(
    "health",
    [failing(1, 2, 3, 1), failing(1, 2, 1, 2, 1, 2), failing(1, 2, 3, 4, 5, lasts=9.9), failing(*[1] * 9)],
    ids=["four polls", "two users", "less than ten seconds", "one user"],
)
def test_less_is_no_reason_for_a_verdict(health: TargetHealth) -> None:
    """Nor for a question."""
    assert (health.verdicts, health.question_is_due) == ({}, False)
    assert health.streak is not None


@pytest.mark.parametrize(("users", "keys"), [(1, (1, 1, 1, 1, 1)), (2, (1, 2, 1, 2, 1))])
def test_where_there_are_fewer_than_three_users_all_of_them_must_fail(users: int, keys: tuple[int, ...]) -> None:
    """A target of one user can be unreachable too."""
    assert failing(*keys, users=users).unreachable


@pytest.mark.parametrize("outcome", [None, Outcome.GONE, Outcome.INVALID])
def test_where_somebody_had_a_usable_answer_the_target_is_asked(outcome: Outcome | None) -> None:
    """It takes the question to tell an outage from a few users that fail."""
    health = failing(1, 2, 3, 4, 5, others=recent((9, outcome)))
    assert (health.unreachable, health.question_is_due) == (None, True)


@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
def test_a_question_without_a_usable_answer_confirms_it(outcome: Outcome, code: str) -> None:
    """Any other answer shows that the target is there."""
    suspected = failing(1, 2, 3, 4, 5, others=WELL)
    question = answer(0, outcome, 11, code, counts=False, detail="no")
    health = after_question(suspected, question, answered_meanwhile=True, users=9, now=at(11))
    if (outcome, code) in {(each, "200") for each in UNUSABLE} | {(Outcome.THROTTLED, "503")}:
        wanted = TargetVerdict(fault=Fault.UNREACHABLE, since=at(11), code=code, detail="no")
        assert health.unreachable == wanted
    else:
        assert health.unreachable is None


def test_a_question_that_fails_says_nothing_without_failing_users() -> None:
    """The user list alone may be out of order."""
    question = answer(0, Outcome.UNAVAILABLE, 11, counts=False)
    for health in (TargetHealth(), failing(1, 2, 3, 1), failing(1, 2, 1, 2, 1)):
        asked = after_question(health, question, answered_meanwhile=False, users=9, now=at(11))
        assert asked.unreachable is None


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - UNUSABLE))
def test_any_answer_ends_a_row_of_failures(outcome: Outcome) -> None:
    """Somebody is there, whatever it says."""
    health = failing(1, 2, 3, 4)
    assert met(health, recent(), answer(5, outcome, 10), seconds=10).streak is None


@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
def test_any_answer_brings_an_unreachable_target_back(outcome: Outcome, code: str) -> None:
    """Even one that shows nothing of its user, unless it is one more failure."""
    lost = replace(faulty(Fault.UNREACHABLE), streak=Streak(since=NOON, polls=5, users=(1, 2, 3)))
    probed = met(lost, recent(), answer(1, outcome, 2, code), seconds=3)
    is_back = outcome not in UNUSABLE and code != "503"
    assert (probed.unreachable is None, probed.streak is None) == (is_back, is_back)
    assert probed.ended == ({"unreachable": at(3)} if is_back else {})


def test_an_answer_asked_for_before_the_outage_was_seen_does_not_end_it() -> None:
    """It comes from before."""
    late = answer(1, Outcome.UNCHANGED, 12, asked_at=at(9.999))
    assert met(faulty(Fault.UNREACHABLE, seconds=10), recent(), late, seconds=12).unreachable


def test_with_replicas_it_is_unreachable_when_none_of_them_gets_an_answer() -> None:
    """One without network fails on and on; the other one's answers end its rows of failures."""
    health, others = TargetHealth(), WELL
    for second in range(60):
        without_network = answer(second % 5, Outcome.UNAVAILABLE, second, "connect")
        with_network = answer(100 + second % 7, Outcome.UNCHANGED, second + 0.5)
        health = met(health, others, without_network, seconds=second)
        health = met(health, others, with_network, seconds=second + 0.5)
        others = others.with_answers([without_network, with_network])
        assert not health.verdicts
    assert not health.question_is_due


# --- throttled ---


def test_an_unreachable_target_is_not_also_throttled() -> None:
    """Neither when it is found to be unreachable, nor later."""
    both = failing(1, 2, 3, 4, 5, code="503", others=WELL)
    both = set_throttled(both, at(10), throttled=True, code="503")
    assert both.verdicts["throttled"] == TargetVerdict(fault=Fault.THROTTLED, since=at(10), code="503")
    question = answer(0, Outcome.UNAVAILABLE, 11, counts=False)
    lost = after_question(both, question, answered_meanwhile=False, users=9, now=at(11))
    assert (set(lost.verdicts), lost.ended) == ({"unreachable"}, {"throttled": at(11)})
    assert set(set_throttled(lost, at(12), throttled=True).verdicts) == {"unreachable"}


def test_throttling_has_the_time_and_the_code_of_its_beginning() -> None:
    """Its end is remembered."""
    slowed = set_throttled(TargetHealth(), NOON, throttled=True, code="429")
    assert set_throttled(slowed, at(9), throttled=True, code="503") == slowed
    over = set_throttled(slowed, at(9), throttled=False)
    assert (over.verdicts, over.ended) == ({}, {"throttled": at(9)})
    assert set_throttled(TargetHealth(), NOON, throttled=False) == TargetHealth()


# --- what is remembered ---


def test_the_newest_ends_are_remembered() -> None:
    """Invented providers cannot make it grow without bound."""
    health = TargetHealth()
    for number in range(3 * REMEMBERED_ENDS):
        lacking = [RecentPoll(key=key, at=at(number), missing=frozenset({f"invented_{number}"})) for key in range(3)]
        health = assess(health, [], RecentPolls(polls=lacking, users=3), at(number))
    keys = [verdict_key(Fault.PROVIDER_MISSING, f"invented_{number}") for number in range(3 * REMEMBERED_ENDS)]
    assert list(health.ended) == keys[-REMEMBERED_ENDS - 1 : -1]
    assert list(health.verdicts) == keys[-1:]


def test_an_end_is_that_of_the_last_of_some_faults() -> None:
    """Or long ago, where there was none."""
    health = TargetHealth(ended={"not_found": at(5), "rejected": at(9)})
    assert health.last_end_of(("not_found", "users_invalid")) == at(5)
    assert health.last_end_of(("rejected", "not_found")) == at(9)
    assert health.last_end_of(("users_invalid",)) < NOON - timedelta(days=9999)
    assert faulty(Fault.NOT_FOUND).has_any(("rejected", "not_found"))
    assert not faulty(Fault.NOT_FOUND).has_any(("rejected",))


def test_times_ahead_of_the_clock_are_cut() -> None:
    """Where it stepped back, verdicts, their ends and suspicions are of now, and the question may be asked."""
    health = TargetHealth(
        verdicts={"rejected": TargetVerdict(fault=Fault.REJECTED, since=at(9), code="401")},
        ended={"not_found": at(8), "unreachable": at(-8)},
        streak=Streak(since=at(7), polls=2, users=(1,)),
        refused_since=at(6),
        question_is_due=True,
        asked_at=at(5),
    )
    cut = health.not_ahead_of(NOON)
    assert cut.verdicts == {"rejected": TargetVerdict(fault=Fault.REJECTED, since=NOON, code="401")}
    assert cut.ended == {"not_found": NOON, "unreachable": at(-8)}
    assert (cut.streak, cut.refused_since) == (Streak(since=NOON, polls=2, users=(1,)), NOON)
    assert cut.question_is_due
    assert cut.asks(NOON)


@pytest.mark.parametrize(
    "health",
    [
        TargetHealth(),
        faulty(Fault.REJECTED),
        TargetHealth(ended={"rejected": NOON}, streak=Streak(since=NOON), refused_since=NOON, asked_at=NOON),
    ],
)
def test_times_that_are_not_ahead_of_the_clock_stay(health: TargetHealth) -> None:
    """Nothing is written where nothing is new."""
    assert health.not_ahead_of(NOON) is health


def test_any_time_ahead_of_the_clock_is_found() -> None:
    """Each of them alone would hold something up for the whole step."""
    for ahead in (
        faulty(Fault.REJECTED, seconds=1),
        TargetHealth(ended={"rejected": at(1)}),
        TargetHealth(streak=Streak(since=at(1))),
        TargetHealth(refused_since=at(1)),
        TargetHealth(asked_at=at(1)),
    ):
        assert ahead.not_ahead_of(NOON) == ahead.not_ahead_of(NOON).not_ahead_of(NOON) != ahead

"""Whether a target is plausible when it says of many users, or of many rows, that they are not there."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from monitor.core.model import Outcome
from monitor.core.target_health import RECENT_USERS, PollAnswer, RecentPoll, RecentPolls, TargetHealth, assess
from tests.core.samples import NOON

FITBIT, OURA = frozenset({"fitbit"}), frozenset({"oura"})
KINDS = [(Outcome.GONE, "not_found"), (Outcome.INVALID, "users_invalid")]


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def polls(*outcomes: Outcome | None, users: int | None = None) -> RecentPolls:
    """Return the latest answers of users 0, 1, 2 …, all at noon."""
    found = [RecentPoll(key=key, at=NOON, outcome=outcome) for key, outcome in enumerate(outcomes)]
    return RecentPolls(polls=found, users=len(found) if users is None else users)


def lacking(*missing: frozenset[str]) -> RecentPolls:
    """Return the latest answers of users 0, 1, 2 …, which were good and lacked these rows."""
    found = [RecentPoll(key=key, at=NOON, missing=providers) for key, providers in enumerate(missing)]
    return RecentPolls(polls=found, users=len(found))


def faults(recent: RecentPolls, before: TargetHealth | None = None) -> set[str]:
    """Return what is wrong with a target whose users were answered so."""
    return set(assess(before or TargetHealth(), [], recent, NOON).verdicts)


# --- recently polled users ---


def answer(key: int, outcome: Outcome, seconds: float, *, counts: bool = True) -> PollAnswer:
    """Return what a user was answered."""
    return PollAnswer(key=key, outcome=outcome, code="200", asked_at=at(seconds), at=at(seconds), counts=counts)


def test_each_user_counts_by_its_latest_answer() -> None:
    """Newest first, in whichever order the answers are taken in."""
    answers = [answer(1, Outcome.GONE, 3), answer(0, Outcome.TIMEOUT, 1), answer(1, Outcome.CHANGED, 2)]
    found = polls(None, None, None).with_answers(answers)
    assert found == RecentPolls(
        polls=[
            RecentPoll(key=1, at=at(3), outcome=Outcome.GONE),
            RecentPoll(key=0, at=at(1), outcome=Outcome.TIMEOUT),
            RecentPoll(key=2, at=NOON),
        ],
        users=3,
    )


@pytest.mark.parametrize("outcome", [Outcome.CHANGED, Outcome.UNCHANGED])
def test_good_answers_are_alike(outcome: Outcome) -> None:
    """Whether or not they say something new."""
    assert polls().with_answers([answer(1, outcome, 0)]).polls == [RecentPoll(key=1, at=NOON)]


def test_users_that_are_gone_or_invalid_do_not_count() -> None:
    """Their 404s are no news."""
    assert polls(None).with_answers([answer(7, Outcome.GONE, 1, counts=False)]) == polls(None)


def test_the_latest_200_users_count() -> None:
    """Where more were polled in an interval."""
    answers = [answer(key, Outcome.CHANGED, key / 100) for key in range(500)]
    found = polls().with_answers(answers)
    assert [poll.key for poll in found.polls] == list(range(499, 499 - RECENT_USERS, -1))
    assert found.users == 500


@pytest.mark.parametrize(("users", "enough"), [(0, 1), (1, 1), (2, 2), (3, 3), (1000, 3)])
def test_a_verdict_takes_three_users_or_all(users: int, enough: int) -> None:
    """One, where there is one."""
    assert RecentPolls(polls=[], users=users).enough == enough


def test_others_are_all_but_the_user_itself() -> None:
    """Ten of them where there are more; those polled at the same moment or before do not count."""
    found = RecentPolls(polls=[RecentPoll(key=key, at=at(key)) for key in range(12)], users=12)
    assert found.polled_others(11, at(0))
    assert not found.polled_others(10, at(1))
    assert found.polled_others(1, at(1))
    alone, pair = RecentPolls(polls=[], users=1), RecentPolls(polls=[RecentPoll(key=1, at=at(1))], users=2)
    assert alone.polled_others(7, at(0))
    assert pair.polled_others(7, at(0))
    assert not pair.polled_others(7, at(1))


def test_only_good_answers_of_others_show_that_they_are_found() -> None:
    """Since the first 404 of the user in question."""
    assert polls(None, Outcome.GONE).answered_others(1, at(-1))
    assert not polls(None, Outcome.GONE).answered_others(1, at(0))
    assert not polls(None, Outcome.GONE).answered_others(0, at(-1))


# --- many ---


@pytest.mark.parametrize(("outcome", "fault"), KINDS)
@pytest.mark.parametrize(
    ("absent", "well", "is_many"),
    [(2, 0, False), (3, 0, True), (3, 12, False), (3, 11, True), (40, 160, False), (41, 159, True), (1, 0, False)],
)
def test_more_than_a_fifth_and_three_users_are_many(
    outcome: Outcome, fault: str, absent: int, well: int, is_many: bool
) -> None:
    """A cohort of one or two never is."""
    assert faults(polls(*[outcome] * absent, *[None] * well)) == ({fault} if is_many else set())


@pytest.mark.parametrize(("outcome", "fault"), KINDS)
def test_it_is_over_when_they_are_no_longer_many(outcome: Outcome, fault: str) -> None:
    """The end is remembered with its time, so that answers from before it confirm nothing."""
    begun = assess(TargetHealth(), [], polls(*[outcome] * 9), NOON)
    assert begun.verdicts[fault].since == NOON
    assert assess(begun, [], polls(*[outcome] * 8, None), at(1)) == begun
    over = assess(begun, [], polls(outcome, *[None] * 8), at(2))
    assert (over.verdicts, over.ended) == ({}, {fault: at(2)})


def test_404s_and_422s_are_told_apart() -> None:
    """Neither makes the other many."""
    assert faults(polls(Outcome.GONE, Outcome.GONE, Outcome.INVALID, Outcome.INVALID)) == set()


def test_users_that_fail_otherwise_are_in_the_whole_of_which_it_is_a_share() -> None:
    """They were polled."""
    assert faults(polls(*[Outcome.GONE] * 3, *[Outcome.TIMEOUT] * 12)) == set()


# --- rows ---


def test_many_empty_answers_are_implausible() -> None:
    """Rows of several providers are missing."""
    assert faults(lacking(*[FITBIT | OURA] * 3, *[frozenset()] * 11)) == {"connections_missing"}
    assert faults(lacking(*[FITBIT | OURA] * 3, *[frozenset()] * 12)) == set()


def test_the_missing_rows_of_one_provider_are_that_provider_s_fault() -> None:
    """Also where everybody lacks them."""
    assert faults(lacking(*[FITBIT] * 3)) == {"provider_missing:fitbit"}
    assert faults(lacking(*[FITBIT] * 2)) == set()


def test_rows_of_two_providers_are_the_fault_of_the_target() -> None:
    """Where three users or more lack the other one."""
    assert faults(lacking(*[FITBIT] * 5, *[OURA] * 3)) == {"connections_missing"}


@pytest.mark.parametrize("stray", [OURA, FITBIT | OURA, frozenset({"invented"})])
def test_two_users_that_lack_other_rows_do_not_make_a_provider_s_fault_the_target_s(stray: frozenset[str]) -> None:
    """A verdict on the target as a whole takes three users: one that unlinks its ring while Fitbit is shut down."""
    assert faults(lacking(*[FITBIT] * 5, stray, stray)) == {"provider_missing:fitbit"}
    assert faults(lacking(*[FITBIT] * 5, stray, stray, stray)) == {"connections_missing"}


def test_few_users_of_each_of_three_providers_are_the_fault_of_the_target() -> None:
    """No provider stands out."""
    assert faults(lacking(*[frozenset({name}) for name in "abc"])) == {"connections_missing"}


def test_the_fault_of_one_provider_follows_which_one_it_is() -> None:
    """Each end is remembered under the provider."""
    fitbit = assess(TargetHealth(), [], lacking(*[FITBIT] * 3), NOON)
    assert fitbit.verdicts["provider_missing:fitbit"].provider == "fitbit"
    oura = assess(fitbit, [], lacking(*[OURA] * 3), at(1))
    assert (set(oura.verdicts), oura.ended) == ({"provider_missing:oura"}, {"provider_missing:fitbit": at(1)})
    everything = assess(oura, [], lacking(*[FITBIT | OURA] * 3), at(2))
    assert set(everything.verdicts) == {"connections_missing"}
    over = assess(everything, [], lacking(*[frozenset()] * 3), at(3))
    assert (over.verdicts, over.ended["connections_missing"]) == ({}, at(3))


def test_a_provider_may_have_any_name() -> None:
    """The vendor's words are kept as sent."""
    verdict = assess(TargetHealth(), [], lacking(*[frozenset({"a:b"})] * 3), NOON).verdicts["provider_missing:a:b"]
    assert verdict.provider == "a:b"


def test_absences_are_assessed_whatever_else_is_wrong() -> None:
    """A target may be implausible and throttled at once."""
    both = assess(TargetHealth(), [], polls(*[Outcome.GONE] * 3, *[Outcome.INVALID] * 3), NOON)
    assert set(both.verdicts) == {"not_found", "users_invalid"}

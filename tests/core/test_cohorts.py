"""Whole cohorts through mass faults and real changes: what is concluded of whom, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.model import Kind, Presence
from tests.core.cohort import (
    FAILED,
    GONE,
    INVALID,
    MINUTE,
    NO_FITBIT,
    NO_OURA,
    NO_ROWS,
    OVERLOADED,
    REFUSED,
    SECOND,
    SILENT,
    WELL,
    Cohort,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = timedelta(hours=1)


def cohort(size: int, interval: timedelta = 15 * MINUTE) -> Cohort:
    """Return a cohort that was polled for two intervals, each user at its place."""
    found = Cohort(size, interval=interval)
    found.run(2 * interval, lambda _: WELL, step=interval / 60)
    assert not found.faults
    return found


def only(keys: range | set[int], reply: Reply, others: Reply = WELL) -> Callable[[int], Reply]:
    """Return a script in which these users get another answer than all others."""
    return lambda key: reply if key in keys else others


@pytest.mark.parametrize("size", [1, 2, 3, 9, 60, 300])
@pytest.mark.parametrize(
    ("reply", "concluded"),
    [(GONE, Presence.GONE), (INVALID, Presence.INVALID), (NO_ROWS, None)],
    ids=["404", "422", "no rows"],
)
def test_an_answer_that_everybody_gets_is_believed_of_nobody(
    size: int, reply: Reply, concluded: Presence | None
) -> None:
    """For an hour, in cohorts of every size; all but the smallest are told apart from a fault of the target."""
    whole = cohort(size)
    whole.run(HOUR, lambda _: reply, step=5 * SECOND)
    changed = whole.with_presence(concluded) if concluded else whole.with_kind(Kind.DISAPPEARED)
    assert changed == (set(whole.members) if size < 3 else set())
    assert whole.health.is_up is (size < 3)
    whole.run(HOUR, lambda _: WELL, step=5 * SECOND)
    assert not whole.faults
    if size >= 3:
        assert {len(member.kinds) for member in whole.members.values()} == {2}


@pytest.mark.parametrize("size", [9, 60, 300])
@pytest.mark.parametrize("interval", [SECOND, 15 * MINUTE])
@pytest.mark.parametrize("reply", [GONE, INVALID, NO_FITBIT], ids=["404", "422", "a row"])
def test_what_happens_to_one_user_is_found(size: int, interval: timedelta, reply: Reply) -> None:
    """After its second answer: a minute later, or with the interval where too few others are polled meanwhile."""
    whole = cohort(size, interval)
    whole.run(max(interval, MINUTE) + interval + 5 * SECOND, only({5}, reply), step=max(SECOND, interval / 180))
    found = whole.with_presence(Presence.GONE) | whole.with_presence(Presence.INVALID)
    assert (found or whole.with_kind(Kind.DISAPPEARED)) == {5}
    assert not whole.faults


def test_an_absence_among_many_users_is_confirmed_within_two_minutes() -> None:
    """The extra poll after 60 s finds ten others polled."""
    whole = cohort(300)
    due = whole.members[5].next_poll_at
    whole.run(due - whole.now + 61 * SECOND, only({5}, GONE))
    assert whole.with_presence(Presence.GONE) == {5}


def test_a_few_deleted_users_are_found_beside_many_that_are_not() -> None:
    """A tenth of the cohort is not many."""
    whole, deleted = cohort(100), set(range(1, 100, 10))
    whole.run(HOUR, only(deleted, GONE), step=5 * SECOND)
    assert whole.with_presence(Presence.GONE) == deleted
    assert whole.health.is_up


@pytest.mark.parametrize("size", [9, 300])
def test_half_a_cohort_that_is_deleted_is_gone_after_a_day(size: int) -> None:
    """Until then the target is not believed, and the other half is polled as ever."""
    whole, deleted = cohort(size), set(range(1, size // 2 + 1))
    whole.run(HOUR, only(deleted, GONE), step=15 * SECOND)
    assert (whole.with_presence(Presence.GONE), whole.faults) == (set(), {"not_found"})
    before = whole.polls.copy()
    whole.run(HOUR, only(deleted, GONE), step=15 * SECOND)
    polls = whole.polls - before
    assert set(polls.values()) == {4}
    whole.now += timedelta(hours=22)
    whole.run(15 * MINUTE, only(deleted, GONE), step=15 * SECOND)
    assert whole.with_presence(Presence.GONE) == deleted
    assert not whole.faults


def test_half_a_cohort_that_a_user_list_does_not_name_is_gone_with_the_next_poll() -> None:
    """The list knows who is there, whatever single users are answered."""
    whole, deleted = cohort(60), set(range(1, 31))
    whole.run(30 * MINUTE, only(deleted, GONE), step=5 * SECOND)
    assert whole.faults == {"not_found"}
    for key in deleted:
        whole.members[key].unlisted_at = whole.now
    whole.run(15 * MINUTE, only(deleted, GONE), step=5 * SECOND)
    assert whole.with_presence(Presence.GONE) == deleted
    assert not whole.faults


@pytest.mark.parametrize("size", [9, 300])
def test_a_provider_that_is_shut_down_for_everybody_is_accepted_after_a_day(size: int) -> None:
    """Until then only its rows wait: the target is up, and other changes are found as ever."""
    whole = cohort(size)
    whole.run(HOUR, lambda _: NO_FITBIT, step=15 * SECOND)
    assert (whole.with_kind(Kind.DISAPPEARED), whole.faults) == (set(), {"provider_missing:fitbit"})
    assert whole.health.is_up
    whole.now += timedelta(hours=23)
    whole.run(HOUR, lambda _: NO_FITBIT, step=15 * SECOND)
    assert whole.with_kind(Kind.DISAPPEARED) == set(whole.members)
    assert {tuple(member.connections) for member in whole.members.values()} == {("oura",)}
    assert not whole.faults


def test_another_user_s_other_row_disappears_while_a_provider_is_shut_down() -> None:
    """It neither waits for the provider nor makes the target implausible."""
    whole, shut_down = cohort(60), set(range(1, 60))
    whole.run(HOUR, only(shut_down, NO_FITBIT, NO_OURA), step=5 * SECOND)
    assert whole.with_kind(Kind.DISAPPEARED) == {60}
    assert whole.faults == {"provider_missing:fitbit"}


@pytest.mark.parametrize("reply", [GONE, NO_ROWS, INVALID], ids=["404", "no rows", "422"])
def test_a_target_that_recovers_shard_by_shard_loses_nobody(reply: Reply) -> None:
    """The last users that are missing are few at last, but their answers from before that confirm nothing."""
    whole = cohort(60)
    for shard in range(6, -1, -1):
        whole.run(16 * MINUTE, only(range(1, 10 * shard + 1), reply), step=5 * SECOND)
    assert {len(member.kinds) for member in whole.members.values()} == {2}
    assert whole.with_presence(Presence.PRESENT) == set(whole.members)
    assert not whole.faults


def test_the_last_shard_that_stays_missing_is_believed_in_the_end() -> None:
    """Its users were really deleted."""
    whole, deleted = cohort(60), range(1, 7)
    whole.run(16 * MINUTE, lambda _: GONE, step=5 * SECOND)
    whole.run(HOUR, only(deleted, GONE), step=5 * SECOND)
    assert whole.with_presence(Presence.GONE) == set(deleted)
    assert not whole.faults


@pytest.mark.parametrize("size", [1, 3, 9, 300])
def test_a_revoked_key_is_found_and_its_return_too(size: int) -> None:
    """The question tells it from refused users; meanwhile one user is polled every 30 s."""
    whole = cohort(size)
    whole.question = REFUSED
    whole.run(16 * MINUTE, lambda _: REFUSED)
    assert whole.faults == {"rejected"}
    before = whole.polls.total()
    whole.run(10 * MINUTE, lambda _: REFUSED)
    assert whole.polls.total() - before == 20
    whole.run(31 * SECOND, lambda _: WELL)
    assert not whole.faults


@pytest.mark.parametrize("size", [3, 9, 300])
def test_users_that_are_all_refused_reject_the_target_whatever_the_question_says(size: int) -> None:
    """A key may list users and read none of them."""
    whole = cohort(size)
    whole.run(30 * MINUTE, lambda _: REFUSED)
    assert whole.faults == {"rejected"}


@pytest.mark.parametrize("reply", [FAILED, SILENT, OVERLOADED], ids=["500", "silent", "503"])
@pytest.mark.parametrize("size", [1, 3, 9, 300])
def test_an_outage_is_one_fault_and_ends_with_an_answer(size: int, reply: Reply) -> None:
    """One due user a second is polled meanwhile."""
    whole = cohort(size)
    whole.question = FAILED
    whole.run(25 * MINUTE, lambda _: reply)
    assert whole.faults == {"unreachable"}
    before = whole.polls.total()
    whole.run(5 * MINUTE, lambda _: reply)
    assert 9 * min(size, 30) <= whole.polls.total() - before <= 300
    whole.run(31 * SECOND, lambda _: WELL)
    assert "unreachable" not in whole.faults
    whole.run(5 * MINUTE, lambda _: WELL)
    assert not whole.faults


@pytest.mark.parametrize("reply", [FAILED, SILENT, OVERLOADED, REFUSED])
def test_a_twentieth_of_the_users_that_fails_is_no_fault_of_the_target(reply: Reply) -> None:
    """They back off, and everybody else is polled as ever."""
    whole, hostile = cohort(60), {7, 27, 47}
    before = whole.polls.copy()
    whole.run(HOUR, only(hostile, reply))
    assert not whole.faults
    others = (whole.polls - before).items()
    assert {count for key, count in others if key not in hostile} == {4}

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from monitor.core.budget import Pace
from monitor.core.model import Kind, Outcome, Presence
from monitor.errors import StoreUnavailable
from monitor.poller import poller
from monitor.ports import Answer, TransitionFilter
from tests.poller.rig import TARGET, Rig, user
from tests.poller.world import INVALID, MISSING, REJECTED, THROTTLED, FakeJunction, ok

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import pytest

    from monitor.core.judge import Claim
    from monitor.core.model import Snapshot
    from monitor.ports import Claimed, Polls


async def test_every_due_user_is_polled_once() -> None:
    """All users of a cohort are asked, each once, and their snapshots are committed."""
    rig = Rig()
    users = await rig.register(50)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 50)
    assert rig.junction.asked == dict.fromkeys(users, 1)
    assert {each.outcome for each in rig.verdicts} == {Outcome.CHANGED}


async def test_an_answer_equal_to_the_last_is_not_read() -> None:
    """The digest of the bytes saves the parse."""
    rig = Rig(interval=timedelta(seconds=1))
    await rig.register(1)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 2)
    assert [each.outcome for each in rig.verdicts] == [Outcome.CHANGED, Outcome.UNCHANGED]
    assert rig.junction.reads == 1


async def test_a_break_between_two_polls_becomes_one_transition() -> None:
    """What changed between two snapshots is stored, and counted as detected."""
    answers = [ok(fitbit="connected"), ok(fitbit="error")]
    rig = Rig(junction=FakeJunction(script=lambda _: answers.pop(0)), interval=timedelta(seconds=1))
    await rig.register(1)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 2)
    kinds = [each.kind async for each in rig.store.views.transitions(TransitionFilter())]
    assert kinds == [Kind.APPEARED, Kind.ERRORED]


async def test_no_more_requests_are_in_flight_than_allowed() -> None:
    """Concurrency is a bound."""
    rig = Rig(junction=FakeJunction(latency=0.01), concurrency=3)
    await rig.register(40)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 40)
    assert rig.junction.most_in_flight == 3


async def test_the_rate_of_a_target_is_a_bound() -> None:
    """A second's worth of requests may burst; what comes after waits for its turn."""
    rig = Rig(rate=20)
    await rig.register(100)
    async with rig.running():
        await asyncio.sleep(0.5)
    assert len(rig.verdicts) <= 20 + 12


async def test_a_slow_answer_holds_up_one_slot_and_no_batch() -> None:
    """Other users are committed while one user's answer takes its time."""
    rig = Rig(concurrency=2)
    slow = user(0)

    async def connections(user_id: UUID) -> Answer:
        await asyncio.sleep(1.5 if user_id == slow else 0)
        return ok(fitbit="connected")

    rig.junction.connections = connections  # type: ignore[method-assign]
    await rig.register(20)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 19, within=1.2)
    assert len(rig.verdicts) == 20


async def test_stopping_commits_what_is_in_flight_and_gives_the_rest_back() -> None:
    """A drain takes no longer than an answer; nobody is left under a lease."""
    rig = Rig(junction=FakeJunction(latency=0.3), concurrency=2)
    await rig.register(10)
    began = time.monotonic()
    async with rig.running():
        await rig.until(lambda: rig.junction.in_flight == 2)
    assert time.monotonic() - began < 1
    assert len(rig.verdicts) == 2
    left = await rig.store.polls.claim(
        TARGET, limit=100, now=rig.now(), lease=timedelta(seconds=1), pace=Pace(rate=1000)
    )
    assert len(left.claims) == 8


def revoked() -> FakeJunction:
    """Return a Junction that refuses the key, whatever is asked."""
    return FakeJunction(script=lambda _: REJECTED, team=lambda: REJECTED, latency=0.05)


async def test_a_rejected_target_is_probed_and_logged_once() -> None:
    """A revoked key is one log line and one gauge, and users are not asked on and on."""
    rig = Rig(junction=revoked())
    await rig.register(200)
    async with rig.running():
        await rig.until(lambda: rig.target.health.rejected is not None)
        asked = rig.junction.asked.total()
        await asyncio.sleep(0.5)
    assert rig.junction.asked.total() <= asked + rig.concurrency
    assert rig.junction.questions == 1
    assert rig.events().count("target.rejected") == 1
    assert rig.metrics.of("target_up")[-1] == (TARGET, False)
    assert rig.poller.in_hand == 0


async def test_a_throttled_target_is_asked_less() -> None:
    """429 halves the rate, and says so once."""
    rig = Rig(junction=FakeJunction(script=lambda _: THROTTLED))
    await rig.register(50)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) >= 4)
        await rig.until(lambda: rig.target.factor < 1)
    assert rig.events().count("target.throttled") == 1


class Clock:
    """The time of day, which a test may move."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.ahead


async def test_an_invalid_user_is_paused_with_the_reason() -> None:
    """A second 422 a minute after the first ends the polling of that user for a day and says why; a 200 resumes it."""
    clock, answers = Clock(), [INVALID, INVALID, ok(fitbit="connected")]
    rig = Rig(junction=FakeJunction(script=lambda _: answers.pop(0)), now=clock)
    (user_id,) = await rig.register(1)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 1)
        assert "user.invalid" not in rig.events()
        clock.ahead += timedelta(seconds=61)
        await rig.until(lambda: len(rig.verdicts) == 2)
        member = await rig.store.cohort.member(TARGET, user_id)
        assert member is not None
        assert (member.presence, member.reason) == (Presence.INVALID, "not a valid id")
        assert rig.events().count("user.invalid") == 1
        clock.ahead += timedelta(days=1)
        await rig.until(lambda: len(rig.verdicts) == 3)
    member = await rig.store.cohort.member(TARGET, user_id)
    assert member is not None
    assert (member.presence, member.reason) == (Presence.PRESENT, None)


async def test_one_user_that_is_refused_stops_nobody_else() -> None:
    """The target is asked about itself, answers, and goes on; the refused user backs off."""
    refused = user(3)
    script = lambda user_id: REJECTED if user_id == refused else ok(fitbit="connected")  # noqa: E731
    rig = Rig(junction=FakeJunction(script=script), interval=timedelta(seconds=1))
    await rig.register(10)
    async with rig.running():
        await rig.until(lambda: rig.junction.asked.total() >= 40)
    assert rig.junction.questions == 1
    others = [count for user_id, count in rig.junction.asked.items() if user_id != refused]
    assert max(others) - min(others) <= 1
    assert rig.target.health.is_up
    assert "target.rejected" not in rig.events()


async def test_a_key_that_may_not_list_users_is_not_rejected_for_one_user() -> None:
    """The question is refused whenever it is asked, but other users are answered."""
    refused = user(3)
    script = lambda user_id: REJECTED if user_id == refused else ok(fitbit="connected")  # noqa: E731
    rig = Rig(junction=FakeJunction(script=script, team=lambda: REJECTED), interval=timedelta(seconds=1))
    await rig.register(10)
    async with rig.running():
        await rig.until(lambda: rig.junction.asked.total() >= 40)
    assert rig.junction.questions >= 1
    assert "target.rejected" not in rig.events()


async def test_one_throttled_user_stops_nobody_else() -> None:
    """It waits for as long as it was asked to; the rate of the target stays."""
    answer = Answer(outcome=Outcome.THROTTLED, code="429", retry_after=timedelta(minutes=15))
    script = lambda user_id: answer if user_id == user(3) else ok(fitbit="connected")  # noqa: E731
    rig = Rig(junction=FakeJunction(script=script), interval=timedelta(seconds=1))
    await rig.register(10)
    async with rig.running():
        await rig.until(lambda: rig.junction.asked.total() >= 30)
    assert rig.junction.asked[user(3)] == 1
    assert rig.target.factor == 1
    assert "target.throttled" not in rig.events()


async def test_a_hanging_target_leaves_slots_to_others() -> None:
    """While one target answers nobody, users of another are polled at their pace."""
    hanging = FakeJunction(script=lambda _: Answer(outcome=Outcome.TIMEOUT, code="timeout"), latency=0.5)
    rig = Rig(interval=timedelta(seconds=1), concurrency=4)
    rig.add_target("hanging", hanging)
    await rig.register(20)
    await rig.register(200, target="hanging")
    async with rig.running():
        await rig.until(lambda: hanging.asked.total() >= 4)
        before = rig.junction.asked.total()
        await asyncio.sleep(2)
    assert rig.junction.asked.total() - before >= 35
    assert hanging.most_in_flight <= 3


class Poisoned:
    """A queue that cannot write what is found out about one user."""

    def __init__(self, inner: Polls, poison: UUID) -> None:
        self._inner = inner
        self._poison = poison

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, verdicts: Sequence[Any], **when: Any) -> frozenset[int]:
        """Fail for the one user's connections, as a whole."""
        if any(each.change and each.claim.user.user_id == self._poison for each in verdicts):
            raise ZeroDivisionError
        return await self._inner.commit(verdicts, **when)


async def test_a_user_that_cannot_be_written_is_lost_alone() -> None:
    """All others of its batch are committed; that user backs off, and is logged once a poll."""
    rig = Rig(wrap=lambda polls: Poisoned(polls, user(7)))
    await rig.register(30)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 30)
    seen = [each.connection async for each in rig.store.views.connections()]
    assert len(seen) == 29
    assert rig.events().count("poll.crashed") == 1
    member = await rig.store.cohort.member(TARGET, user(7))
    assert member is not None
    assert (member.outcome, member.failures) == ("malformed", 1)


async def test_one_404_declares_nobody_gone() -> None:
    """A user that is missing once keeps its state."""
    answers = [ok(fitbit="connected"), MISSING]
    rig = Rig(junction=FakeJunction(script=lambda _: answers.pop(0)), interval=timedelta(seconds=1))
    await rig.register(1)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 2)
    assert [each.connection.status async for each in rig.store.views.connections()] == ["connected"]
    assert rig.verdicts[-1].outcome is Outcome.GONE


class Crashing(FakeJunction):
    """Meets a bug of ours in the first answer."""

    def read(self, body: bytes) -> Snapshot | None:
        """Crash once."""
        snapshot = super().read(body)
        if self.reads == 1:
            raise ZeroDivisionError
        return snapshot


async def test_a_crash_in_one_poll_ends_no_other() -> None:
    """A bug that one answer meets is logged; the others go on."""
    rig = Rig(junction=Crashing())
    await rig.register(5)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) >= 4)
    assert rig.events().count("poll.crashed") == 1
    assert rig.metrics.of("job_crashed") == [("poll",)]
    assert rig.poller.in_hand == 0


class Flaky:
    """A queue whose commits fail a few times."""

    def __init__(self, inner: Polls, failures: int) -> None:
        self._inner = inner
        self._failures = failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, verdicts: Sequence[Any], **when: Any) -> frozenset[int]:
        """Fail as often as asked, then commit."""
        if self._failures:
            self._failures -= 1
            raise StoreUnavailable("the server went away")
        return await self._inner.commit(verdicts, **when)


async def test_a_lost_database_is_told_once_and_nothing_is_lost() -> None:
    """A commit that failed is made again; the outage is one line at each end."""
    rig = Rig(wrap=lambda polls: Flaky(polls, 2))
    await rig.register(3)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 3)
    assert rig.junction.asked.total() == 3
    assert rig.events() == ["database.lost", "database.recovered"]
    assert (True,) in rig.metrics.of("database_up")


class Late:
    """Polls whose first claim is answered late, as to a process that was suspended meanwhile."""

    def __init__(self, inner: Polls, delay: timedelta) -> None:
        self._inner = inner
        self._delay = delay
        self.late: Sequence[Claim] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, *args: Any, **words: Any) -> Claimed:
        """Claim at once, and answer late."""
        claimed = await self._inner.claim(*args, **words)
        if not self.late:
            self.late = claimed.claims
            await asyncio.sleep(self._delay.total_seconds())
        return claimed


async def test_a_claim_whose_answer_came_late_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease counts from the claim: who learns of it late gives it back, for another may have the user by now."""
    monkeypatch.setattr(poller, "LEASE_SLACK", timedelta(seconds=0.4))
    rig = Rig(wrap=lambda polls: Late(polls, timedelta(seconds=0.3)))
    await rig.register(5)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 5)
    late = {each.lease for each in cast("Late", rig.polls).late}
    assert late
    assert late.isdisjoint(each.claim.lease for each in rig.verdicts)
    assert rig.junction.asked.total() == 5


async def test_polling_by_hand_returns_who_could_not_be_had() -> None:
    """Users that are no members are named, the others are polled though they are not due."""
    rig = Rig(timeout=timedelta(seconds=-9.5))
    users = await rig.register(2)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) == 2)
        left = await rig.poller.run_once(rig.target, [*users, user(77)])
        await rig.poller.settled()
    assert left == {user(77)}
    assert rig.junction.asked == {users[0]: 2, users[1]: 2}


async def test_a_time_to_wait_is_honoured_by_what_was_claimed_before_it() -> None:
    """Claimed users that still wait for a slot are given back, and nobody is asked before the time has passed."""
    answer = Answer(outcome=Outcome.THROTTLED, code="429", retry_after=timedelta(seconds=60))
    rig = Rig(junction=FakeJunction(script=lambda _: answer, latency=0.05), concurrency=2)
    await rig.register(50)
    async with rig.running():
        await rig.until(lambda: len(rig.verdicts) >= 2)
        await rig.until(lambda: rig.poller.in_hand == 0)
        await asyncio.sleep(0.2)
    assert rig.junction.asked.total() <= 2 * rig.concurrency


async def test_what_one_replica_learns_of_a_target_stops_the_other() -> None:
    """Two pollers on one store: one meets the revoked key, the other one asks nothing and tells nothing."""
    first = Rig(junction=revoked())
    second = Rig(store=first.store)
    await first.register(20)
    async with first.running():
        await first.until(lambda: first.target.health.rejected is not None)
        await asyncio.sleep(0.1)
    second.target._lessons.clear()  # it has been running for longer
    async with second.running():
        await asyncio.sleep(0.3)
    assert second.junction.asked.total() == 0
    assert second.metrics.of("target_up")[-1] == (TARGET, False)
    assert "target.rejected" not in second.events()


async def test_a_new_process_probes_a_rejected_target_at_once() -> None:
    """It may have been started with a new key; its success lets everybody go on."""
    first = Rig(junction=revoked())
    await first.register(20)
    async with first.running():
        await first.until(lambda: first.target.health.rejected is not None)
        await asyncio.sleep(0.1)
    restarted = Rig(store=first.store)
    async with restarted.running():
        await restarted.until(lambda: restarted.junction.asked.total() >= 1)
        await restarted.until(lambda: restarted.target.health.rejected is None)


async def test_a_cohort_that_the_rate_cannot_hold_gets_a_longer_interval() -> None:
    """Everybody the same one, said once; it comes back when the cohort fits again."""
    rig = Rig(rate=1, interval=timedelta(minutes=15))
    assert not rig.target.size_up(900)
    assert not rig.target.size_up(2000)
    assert rig.target.cadence.interval == timedelta(minutes=15) * 9 / 4
    assert not rig.target.size_up(2000)
    assert rig.target.size_up(900)
    assert rig.target.cadence.interval == timedelta(minutes=15)
    assert rig.events() == ["target.overcommitted", "target.keeps_up"]


async def test_what_is_given_back_may_be_used_again() -> None:
    """Users that somebody else has in hand cost this target nothing."""
    rig = Rig(rate=10)
    users = await rig.register(10)
    await rig.store.polls.claim_users(TARGET, users[:8], now=rig.now(), lease=timedelta(seconds=40))
    async with rig.running():
        await rig.until(lambda: rig.junction.asked.total() == 2)
    assert await rig.poller.run_once(rig.target, []) == frozenset()
    before = len(rig.target.pace().lessons)
    rig.target.give_back(0)
    rig.target.give_back(8)
    assert len(rig.target.pace().lessons) == before + 1

"""A state machine that drives real pollers on a real store beside a plain model of what they must find out.

Users come and go, answers of every kind come in any order and late, leases expire, alerts are decided on and told,
processes end between any two steps, and clocks jump.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.core.alerting import AlertKind, is_new_error
from monitor.core.model import Intent, Outcome, Presence
from monitor.poller.committer import RECENTLY
from monitor.ports import AlertFilter, Answer, Done, ListedUser, Polls, Store, TransitionFilter
from tests.chaos.steps import Cut
from tests.poller import world
from tests.poller.belief import INVALID, NOT_FOUND, Belief, Faults, Round
from tests.poller.evaluators import quiet_evaluator
from tests.poller.rig import TARGET, Rig
from tests.poller.world import MISSING, REJECTED, THROTTLED, FakeJunction, ok
from tests.store.contract_recount import agrees
from tests.store.contract_side import POLICY
from tests.store.contract_stage import ANN, BOB, CID, START

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from monitor.evaluator import Evaluator

T = TypeVar("T")
Open = Callable[[], Store]
USERS: Final = (ANN, BOB, CID)
LEASE: Final = timedelta(seconds=12)
INTERVAL: Final = timedelta(minutes=15)
STATUSES: Final = ("connected", "error", "paused")

users = st.sampled_from(USERS)
rows = st.fixed_dictionaries({}, optional={"fitbit": st.sampled_from(STATUSES), "oura": st.sampled_from(STATUSES)}).map(
    lambda found: ok(**found)
)
silence = st.sampled_from(
    [
        MISSING,
        MISSING,
        world.INVALID,
        world.INVALID,
        THROTTLED,
        REJECTED,
        Answer(outcome=Outcome.TIMEOUT, code="timeout"),
        Answer(outcome=Outcome.UNAVAILABLE, code="500"),
        Answer(outcome=None, code="200", body=b"{"),
    ]
)
answers = rows | rows | rows | silence
says = st.dictionaries(users, answers, max_size=3)


class Jumps(FakeJunction):
    """A Junction that holds back what it answers until somebody opens the gate."""

    def __init__(self, script: Callable[[UUID], Answer]) -> None:
        super().__init__(script=script)
        self.gate = asyncio.Event()
        self.gate.set()

    async def connections(self, user_id: UUID) -> Answer:
        """Answer what is true now, later."""
        answer = await super().connections(user_id)
        await self.gate.wait()
        return answer


@dataclass
class Noticed:
    """Polls that tell when the claims of one tick are over."""

    inner: Polls
    claimed: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def claim(self, *given: Any, **settings: Any) -> Any:
        """Claim, and tell when that is over."""
        try:
            return await self.inner.claim(*given, **settings)
        finally:
            self.claimed.set()


class Process:
    """One process: a poller on a store of its own."""

    def __init__(self, store: Store, script: Callable[[UUID], Answer], clock: Callable[[], datetime]) -> None:
        self.store = store
        self.junction = Jumps(script)
        self.rig = Rig(junction=self.junction, store=store, now=clock, interval=INTERVAL, wrap=Noticed)

        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Claim whoever is due and begin to ask."""
        polls = self.rig.polls
        assert isinstance(polls, Noticed)
        self._running = asyncio.create_task(self.rig.poller.run())
        self.rig.poller.tick()
        await polls.claimed.wait()
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait for all that was claimed to be committed, and stop."""
        assert self._running is not None
        await self.rig.poller.settled()
        self.rig.poller.stop()
        await self._running

    async def die(self) -> None:
        """End wherever it is."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])


class Pollers(RuleBasedStateMachine):
    """Pollers, one after the other and now and then two at once, and a model of what they find."""

    def __init__(self, open_database: Open) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._open = open_database
        self._store = open_database()
        self._now = START
        self._faults = Faults()
        self._says: dict[UUID, Answer] = {}
        self._believes: dict[UUID, Belief] = {}
        self._told: set[tuple[str, str]] = set()

    @initialize()
    def begin(self) -> None:
        """Start with everybody well and seen once."""
        for each in USERS:
            self.come(each)
        self.poll({each: ok(fitbit="connected", oura="connected") for each in USERS}, 20)

    # --- rules ---

    @rule(news=says, wait=st.sampled_from([20, 61, 1000, 100_000]))
    def poll(self, news: dict[UUID, Answer], wait: int) -> None:
        """Let time pass and poll whoever is due."""
        self._says |= news
        self._pass(wait)
        self._runner.run(self._poll())

    poll_again = poll_on = poll_more = poll

    @rule(news=says, wait=st.sampled_from([61, 1000, 1000]), times=st.integers(2, 4))
    def insist(self, news: dict[UUID, Answer], wait: int, times: int) -> None:
        """Poll whoever is due some times, with the same answers."""
        self._says |= news
        for _ in range(times):
            self._pass(wait)
            self._runner.run(self._poll())

    insist_again = insist

    @rule(jump=st.sampled_from([-3600, -61, 3600]))
    def jump(self, jump: int) -> None:
        """Set the clock forth or back."""
        self._pass(jump)

    @rule(news=says, late=says)
    def overtake(self, news: dict[UUID, Answer], late: dict[UUID, Answer]) -> None:
        """Let another process poll those whose answers come after their leases."""
        self._says |= news
        self._pass(1000)
        self._runner.run(self._overtake(late))

    @rule(news=says, steps=st.integers(1, 60))
    def crash(self, news: dict[UUID, Answer], steps: int) -> None:
        """End the process after some steps of a poll; leases stand until they expire."""
        self._says |= news
        self._pass(1000)
        self._runner.run(self._crash(steps))

    @rule(user=users)
    def come(self, user: UUID) -> None:
        """Register a user, again if need be."""
        listed = [ListedUser(user_id=user, client_user_id=None)]
        self._run(self._store.cohort.register(TARGET, listed, now=self._now, revive=True))
        self._believes.setdefault(user, Belief())

    @rule(user=users, intent=st.sampled_from(Intent))
    def intend(self, user: UUID, intent: Intent) -> None:
        """Pause, resume or remove a user."""
        concerned = self._run(self._store.cohort.set_intent(TARGET, [user], intent, now=self._now))
        if intent is Intent.ACTIVE and concerned and self._believes[user].presence is Presence.INVALID:
            self._believes[user].presence = Presence.PRESENT

    @rule(user=users)
    def erase(self, user: UUID) -> None:
        """Erase a user."""
        self._run(self._store.cohort.erase(TARGET, user, now=self._now))
        self._believes.pop(user, None)

    @rule()
    def decide(self) -> None:
        """Decide on alerts."""
        self._run(self._evaluator().decide())

    decide_again = decide

    @rule(dies=st.booleans())
    def tell(self, dies: bool) -> None:
        """Tell what waits; where the process dies before it wrote that down, it is told again."""
        self._run(self._tell(dies=dies))

    # --- invariants ---

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        """What the store says of each user is what the model believes, and the store agrees with itself."""
        self._runner.run(self._check())

    def teardown(self) -> None:
        """Let everything be decided and told, and hold alerts against transitions."""
        try:
            self._pass(100_000)
            self._run(self._evaluator().decide())
            self._run(self._tell(dies=False))
            self._runner.run(self._check_alerts())
        finally:
            self._run(self._store.aclose())
            self._runner.close()

    # --- steps ---

    async def _poll(self) -> None:
        process = self._process(self._store)
        await process.start()
        await process.finish()
        await self._learn(process)

    async def _overtake(self, late: dict[UUID, Answer]) -> None:
        slow, other = self._process(self._store), self._open()
        slow.junction.gate.clear()
        await slow.start()
        await slow.rig.until(lambda: slow.rig.poller.in_hand == slow.junction.asked.total())
        overtaken = set(slow.junction.asked)
        self._pass(int(LEASE.total_seconds()) + 1)
        self._says |= late
        try:
            quick = self._process(other)
            await quick.start()
            await quick.finish()
            await self._learn(quick)
            if overtaken and quick.rig.target.health.probe_every is None:
                assert overtaken <= set(quick.junction.asked)
            slow.junction.gate.set()
            await slow.finish()
            self._faults.suspect_everything(self._now)
        finally:
            await other.aclose()

    async def _crash(self, steps: int) -> None:
        process, before = self._process(self._store), deepcopy(self._believes)
        await Cut(steps).run(self._until_the_end(process))
        await process.die()
        await self._store.aclose()
        self._store = self._open()
        await self._learn(process, before=before)

    async def _until_the_end(self, process: Process) -> None:
        await process.start()
        await process.finish()

    async def _tell(self, *, dies: bool) -> None:
        while notices := await self._store.outbox.claim("log", limit=5, now=self._now, lease=LEASE):
            self._told |= {(str(each.alert_id), each.state) for each in notices}
            if dies:
                return
            await self._store.outbox.settle(notices, Done.DELIVERED, now=self._now)

    async def _learn(self, process: Process, before: dict[UUID, Belief] | None = None) -> None:
        """Take in what was answered; where the process died, either all of one user's poll counts or nothing."""
        found, rows, counted = await self._found(), await self._rows(), await self._counted()
        answers = {user: self._says.get(user, ok()) for user in process.junction.asked}
        if before is not None:
            self._faults.suspect_everything(self._now)
        beliefs = before if before is not None else deepcopy(self._believes)
        held = {user: beliefs[user] for user in counted | answers.keys()}
        round_ = Round(self._now, held, answers, self._faults, RECENTLY * INTERVAL)
        for user, answer in answers.items():
            presence = await self._presence(user)
            concluded = self._concluded(beliefs[user], answer, presence, rows[user])
            for name in beliefs[user].absences_in(answer):
                assert name not in concluded or round_.may_conclude(user, name)
                must = before is None and round_.must_conclude(user, name)
                assert name in concluded or not must
            belief = self._believes[user]
            belief.hears(answer, concluded, round_)
            if before is not None:
                if (belief.kinds, belief.presence) != (found[user], presence):
                    belief = self._believes[user] = deepcopy(before[user])
                belief.is_unsure_beside(before[user])
        if before is None:
            round_.end(self._believes)

    @staticmethod
    def _concluded(belief: Belief, answer: Answer, presence: Presence | None, rows: dict[str, str]) -> frozenset[str]:
        """Return which absences were believed."""
        if belief.presence is Presence.PRESENT and presence is not Presence.PRESENT:
            return frozenset({NOT_FOUND if presence is Presence.GONE else INVALID})
        if presence is not Presence.PRESENT or answer.outcome is not None:
            return frozenset()
        return belief.absences_in(answer) - rows.keys()

    async def _counted(self) -> set[UUID]:
        """Return the users that verdicts count, as it was before the round."""
        members = [member async for member in self._store.cohort.members(TARGET)]
        return {
            member.user_id
            for member in members
            if member.intent is Intent.ACTIVE and self._believes[member.user_id].presence is Presence.PRESENT
        }

    async def _check(self) -> None:
        found, rows = await self._found(), await self._rows()
        for user, belief in self._believes.items():
            assert found[user] == +belief.kinds
            assert await self._presence(user) == belief.presence
            member = await self._store.cohort.member(TARGET, user)
            if member is not None and member.intent is not Intent.REMOVED:
                assert rows[user] == belief.rows
        assert found.keys() <= self._believes.keys()
        await agrees(self._store)

    async def _check_alerts(self) -> None:
        alerts = [each.alert async for each in self._store.views.alerts(AlertFilter())]
        begun = {each.began_by for each in alerts}
        unstable = {(each.user.user_id, each.provider) for each in alerts if each.kind is AlertKind.UNSTABLE}
        async for each in self._store.views.transitions(TransitionFilter()):
            fires = is_new_error(each) and not each.baseline and (each.user_id, each.provider) not in unstable
            assert not fires or each.id in begun
        fired = {(str(each.id), "firing") for each in alerts if each.fired_at}
        over = {(str(each.id), "resolved") for each in alerts if each.fired_at and not each.is_open}
        assert fired | over <= self._told

    # --- words ---

    async def _rows(self) -> dict[UUID, dict[str, str]]:
        rows: dict[UUID, dict[str, str]] = defaultdict(dict)
        async for each in self._store.views.connections():
            rows[each.user_id][each.connection.provider] = each.connection.status
        return rows

    async def _found(self) -> dict[UUID, Counter[str]]:
        found: dict[UUID, Counter[str]] = defaultdict(Counter)
        async for each in self._store.views.transitions(TransitionFilter()):
            found[each.user_id][each.kind.value] += 1
        return found

    async def _presence(self, user: UUID) -> Presence | None:
        member = await self._store.cohort.member(TARGET, user)
        return member.presence if member else None

    def _process(self, store: Store) -> Process:
        return Process(store, lambda user: self._says.get(user, ok()), lambda: self._now)

    def _evaluator(self) -> Evaluator:
        return quiet_evaluator(self._store.alerts, POLICY, lambda: self._now)

    def _pass(self, seconds: int) -> None:
        self._now += timedelta(seconds=seconds, microseconds=1)
        if seconds < 0:
            self._faults.step_back(self._now)
        self._faults.latest = max(self._now, self._faults.latest or self._now)

    def _run(self, step: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await step

        return self._runner.run(awaited())

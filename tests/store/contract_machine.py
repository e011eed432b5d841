"""A state machine that takes the in-memory twin and a database through the same life, and compares all they show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from monitor.core.model import Connection, Intent, User
from monitor.ports import Done, ListedUser, Store
from monitor.store.memory import MemoryStore
from tests.store.contract_recount import agrees
from tests.store.contract_side import USERS, Answer, Side
from tests.store.contract_stage import CADENCE, LEASE, OTHER_TARGET, PACE, START, TARGET

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from monitor.core.judge import Claim

T = TypeVar("T")
Open = Callable[[], Store]
A_MOMENT: Final = timedelta(microseconds=1)

users = st.sampled_from(USERS)
targets = st.sampled_from([TARGET, TARGET, TARGET, OTHER_TARGET])
times = st.sampled_from([None, START, START + A_MOMENT])


def row(provider: str) -> st.SearchStrategy[Connection]:
    """Return rows of an answer that are much alike; only one in error has words about its error."""
    told = {
        "created_on": times,
        "resources": st.dictionaries(st.sampled_from(["sleep", "body"]), st.sampled_from(["available", "scope"])),
    }
    error = {
        "error_type": st.sampled_from([None, "token_refresh_failed", "unknown"]),
        "error_message": st.sampled_from([None, "no", "\x00"]),
        "errored_at": times,
    }
    well = st.builds(Connection, provider=st.just(provider), status=st.sampled_from(["connected", "paused"]), **told)
    return well | st.builds(Connection, provider=st.just(provider), status=st.just("error"), **told, **error)


rows = st.tuples(row("fitbit"), row("oura")).flatmap(
    lambda both: st.sampled_from([list(both), list(both[:1]), list(both[1:]), []])
)
decisions = st.one_of(
    st.tuples(st.lists(users, min_size=1, max_size=1), st.sampled_from(Intent)),
    st.tuples(st.none(), st.sampled_from([Intent.PAUSED, Intent.REMOVED])),
)
seen = st.tuples(st.just("seen"), rows, st.sampled_from([True, True, True, False]))
words = st.sampled_from(["unchanged", "missing", "missing", "missing", "invalid", "failed"])
unseen: st.SearchStrategy[Answer] = words.map(lambda word: (word, [], True))
answers: st.SearchStrategy[Answer] = st.one_of(seen, seen, unseen)


class Twins(RuleBasedStateMachine):
    """The same steps on both sides. No two users are ever due at the same instant, where the order is open."""

    def __init__(self, open_database: Open) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._open = open_database
        self._now = START
        self._moments = [START]
        self._memory = Side(MemoryStore())
        self._database = Side(open_database())
        self._sides = (self._memory, self._database)

    @initialize()
    def begin(self) -> None:
        """Start with a cohort that is well, so that no life is spent on waiting for one."""
        for user in USERS:
            self.register(TARGET, user, None, revive=False)
        self.break_together(())

    @rule(user=users, back=st.booleans(), answered=st.lists(answers, min_size=2, max_size=6))
    def poll(self, user: UUID, back: bool, answered: list[Answer]) -> None:
        """Poll a user a few times, a minute apart, where nobody has it in hand."""
        if back:
            self.register(TARGET, user, None, revive=True)
            self.decide(TARGET, ([user], Intent.ACTIVE))
        for answer in answered:
            self.wait(61)
            self.claim_users(TARGET, [user])
            self.commit([answer])
            self.both_show_the_same()

    poll_again = poll_on = poll_more = poll  # it is what a life mostly consists of

    @rule(amount=st.sampled_from([1, 30, 61, 61, 1_000, 100_000]))
    def wait(self, amount: int) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=amount)

    @rule(where=targets, user=users, name=st.sampled_from([None, "a", "b"]), revive=st.booleans())
    def register(self, where: str, user: UUID, name: str | None, revive: bool) -> None:
        """Register a user."""
        listed = [ListedUser(user_id=user, client_user_id=name)]
        now = self._next()
        self._both(lambda side: side.store.cohort.register(where, listed, now=now, revive=revive))

    @rule(where=targets, limit=st.integers(1, 3))
    def claim(self, where: str, limit: int) -> None:
        """Take whoever is due."""
        now = self._next()

        async def claim(side: Side) -> list[Claim]:
            claimed = await side.store.polls.claim(where, limit=limit, now=now, lease=LEASE, pace=PACE)
            return claimed.claims

        self._take(claim)

    @rule(where=targets, wanted=st.lists(users, max_size=3))
    def claim_users(self, where: str, wanted: list[UUID]) -> None:
        """Take users, due or not."""
        now = self._next()
        self._take(lambda side: side.store.polls.claim_users(where, wanted, now=now, lease=LEASE))

    @precondition(lambda self: self._memory.claims)
    @rule(answered=st.lists(answers, min_size=1, max_size=4))
    def commit(self, answered: list[Answer]) -> None:
        """Commit answers to the latest claims, stale ones among them."""
        now = self._next()

        async def commit(side: Side) -> set[User]:
            latest = dict(zip((each.key for each in reversed(side.claims)), answered, strict=False))
            claims = [each for each in {each.key: each for each in side.claims}.values() if each.key in latest]
            verdicts = [await side.judge(each, latest[each.key], now) for each in claims]
            written = await side.store.polls.commit(verdicts, now=now)
            return {each.user for each in claims if each.key in written}

        self._both(commit)

    @precondition(lambda self: self._memory.claims)
    @rule(data=st.data())
    def commit_late(self, data: st.DataObject) -> None:
        """Commit an answer to any claim that there ever was."""
        number = data.draw(st.integers(0, len(self._memory.claims) - 1))
        answer, now = data.draw(answers), self._next()

        async def commit(side: Side) -> int:
            verdict = await side.judge(side.claims[number], answer, now)
            return len(await side.store.polls.commit([verdict], now=now))

        self._both(commit)

    @precondition(lambda self: self._memory.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Give any claim back."""
        number = data.draw(st.integers(0, len(self._memory.claims) - 1))
        self._both(lambda side: side.store.polls.release([side.claims[number]]))

    @rule(where=targets, decision=decisions)
    def decide(self, where: str, decision: tuple[list[UUID] | None, Intent]) -> None:
        """Pause, resume or remove a user, or pause or remove everybody."""
        now, (whom, intent) = self._next(), decision
        self._both(lambda side: side.store.cohort.set_intent(where, whom, intent, now=now))

    @rule(where=targets, user=users)
    def erase(self, where: str, user: UUID) -> None:
        """Erase a user."""
        now = self._next()
        self._both(lambda side: side.store.cohort.erase(where, user, now=now))

    @rule(where=targets, seconds=st.sampled_from([10, 600]))
    def bring_forward(self, where: str, seconds: int) -> None:
        """Poll more often."""
        cadence, now = replace(CADENCE, interval=timedelta(seconds=seconds)), self._next()
        self._both(lambda side: side.store.polls.bring_forward(where, cadence=cadence, now=now))

    @rule(limit=st.sampled_from([1, 2, 500, 500]), pause=st.sampled_from([0, 0, 1, 30]))
    def settle(self, limit: int, pause: int) -> None:
        """Take a docket where there is one, and settle it after a while."""
        before = len(self._memory.dockets)
        self.take_docket(limit)
        self.wait(pause)
        if len(self._memory.dockets) > before:
            self._settle(-1)

    settle_again = settle_on = settle

    @rule(limit=st.sampled_from([1, 2, 500, 500]))
    def take_docket(self, limit: int) -> None:
        """Take what is to be decided on, and leave it at that."""
        now = self._next()
        self._both(lambda side: side.take(limit, now))

    @precondition(lambda self: self._memory.dockets)
    @rule(data=st.data())
    def settle_late(self, data: st.DataObject) -> None:
        """Settle any docket that there ever was."""
        self._settle(data.draw(st.integers(0, len(self._memory.dockets) - 1)))

    @precondition(lambda self: self._memory.dockets)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """Give any docket back."""
        number = data.draw(st.integers(0, len(self._memory.dockets) - 1))
        self._both(lambda side: side.store.alerts.release(side.dockets[number]))

    @rule(rows=st.sampled_from([(), ("fitbit",), ("oura", "fitbit")]))
    def break_together(self, rows: tuple[str, ...]) -> None:
        """Let everybody's connections be well but these, which are in error, and decide on it at once."""
        found = [Connection(provider=each, status="error", error_type="no_luck") for each in rows]
        well = [Connection(provider=each, status="connected") for each in ("fitbit", "oura") if each not in rows]
        self.wait(61)
        self.claim_users(TARGET, list(USERS))
        self.commit([("seen", [*found, *well], True)] * len(USERS))
        self.settle(500, 0)

    break_all = break_many = break_together

    @rule(seconds=st.sampled_from([1, 1_000]))
    def prune(self, seconds: int) -> None:
        """Forget alerts that are over and notices that were told."""
        before = self._next() - timedelta(seconds=seconds)
        self._both(lambda side: side.store.upkeep.prune_alerts(before, limit=10_000))

    @rule()
    def tell(self) -> None:
        """Write down all that waits in the outbox."""
        now = self._next()

        async def tell(side: Side) -> int:
            told = 0
            while taken := await side.store.outbox.claim("log", limit=10_000, now=now, lease=LEASE):
                await side.store.outbox.settle(taken, Done.DELIVERED, now=now)
                told += len(taken)
            return told

        self._both(tell)

    @rule()
    def restart(self) -> None:
        """Let the process end with whatever it had in hand; leases stand until they expire."""
        self._run(self._database.store.aclose())
        self._database.store = self._open()

    @invariant()
    def both_show_the_same(self) -> None:
        """Compare everything, at this time and at the latest ones."""
        memory, database = (self._run(side.shows([self._moments[-4:][0], self._now])) for side in self._sides)
        for subject, shown in memory.items():
            assert database[subject] == shown, subject

    def teardown(self) -> None:
        """Hold each side against itself, and let go of it."""
        try:
            for side in self._sides:
                self._run(agrees(side.store))
        finally:
            for side in self._sides:
                self._run(side.store.aclose())
            self._runner.close()

    def _next(self) -> datetime:
        self._now += A_MOMENT
        self._moments.append(self._now)
        return self._now

    def _settle(self, number: int) -> None:
        now = self._next()
        self._both(lambda side: side.settle(number, now))

    def _take(self, claim: Callable[[Side], Awaitable[list[Claim]]]) -> None:
        async def take(side: Side) -> list[Claim]:
            claims = await claim(side)
            side.claims.extend(sorted(claims, key=lambda each: each.user.user_id))
            return [replace(each, key=0, lease=0) for each in claims]

        self._both(take)

    def _both(self, step: Callable[[Side], Awaitable[object]]) -> None:
        memory, database = (self._run(step(side)) for side in self._sides)
        assert database == memory

    def _run(self, step: Awaitable[T]) -> T:
        return self._runner.run(_awaited(step))


async def _awaited(step: Awaitable[T]) -> T:
    return await step

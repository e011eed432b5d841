"""The words that the store's contract tests are told in: a cohort, a clock, and polls that see things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from monitor.core import judge
from monitor.core.budget import Pace
from monitor.core.evaluation import evaluate
from monitor.core.judge import CALM, Cadence, TargetView
from monitor.core.model import Connection, Snapshot
from monitor.core.policy import Policy, Severity
from monitor.core.target_health import Fault, TargetHealth, TargetVerdict
from monitor.ports import Done, ListedUser, TransitionFilter
from tests.store import contract_kept as kept
from tests.store.telling import all_waiting

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.core.alerting import Alert
    from monitor.core.judge import Claim, Known, Verdict
    from monitor.core.model import Kind, Outcome, Transition
    from monitor.core.tally import Key
    from monitor.ports import AlertView, ConnectionView, Notice, Registered, Store, Taken

TARGET: Final = "acme_us"
OTHER_TARGET: Final = "acme_eu"
START: Final = datetime(2025, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
LEASE: Final = timedelta(seconds=25)
PACE: Final = Pace(rate=1e9)
"""No limit at all."""
CADENCE: Final = Cadence(
    interval=timedelta(minutes=15), gone_interval=timedelta(days=1), believe_absence_after=timedelta(0)
)
"""Connections that are missing are believed to be at once: how absences are confirmed is the core's affair."""
FORGETFUL: Final = TargetView(
    health=TargetHealth(verdicts={"not_found": TargetVerdict(fault=Fault.NOT_FOUND, since=START)})
)
POLICY: Final = Policy(severities={"unknown": Severity.NONE, "provider_credential_error": Severity.CRITICAL})
ANN, BOB, CID, DAN = (UUID(int=number) for number in range(1, 5))


def connected(provider: str = "fitbit", **words: Any) -> Connection:
    """Return a healthy row of an answer."""
    return Connection(provider=provider, status="connected", **words)


def broken(provider: str = "fitbit", error_type: str | None = "token_refresh_failed", **words: Any) -> Connection:
    """Return a row in error."""
    return Connection(provider=provider, status="error", error_type=error_type, **words)


def snapshot(*rows: Connection, complete: bool = True) -> Snapshot:
    """Return an answer with these rows."""
    return Snapshot(connections={each.provider: each for each in rows}, complete=complete)


def digest(*rows: Connection) -> bytes:
    """Return 16 bytes that are the same for the same rows."""
    return sha256(repr(rows).encode("utf-8", "backslashreplace")).digest()[:16]


def judged(claim: Claim, known: Known, *rows: Connection, now: datetime, complete: bool = True) -> Verdict:
    """Judge an answer with these rows."""
    return judge.seen(claim, known, snapshot(*rows, complete=complete), digest(*rows), CADENCE, now)


class Stage:
    """One store under a clock that moves a minute with every poll; alerts are decided by ``policy``, when told to."""

    def __init__(self, store: Store, policy: Policy = POLICY) -> None:
        self.store = store
        self.policy = policy
        self.now = START

    def later(self, **amount: float) -> datetime:
        """Move the clock on, and return the time."""
        self.now += timedelta(**amount)
        return self.now

    async def register(self, *users: UUID, target: str = TARGET, revive: bool = True) -> Registered:
        """Register users that have no name of their own."""
        listed = [ListedUser(user_id=each, client_user_id=None) for each in users]
        return await self.store.cohort.register(target, listed, now=self.now, revive=revive)

    async def claim(self, limit: int = 100, *, target: str = TARGET) -> list[UUID]:
        """Claim users that are due, and return who they are."""
        claimed = await self.store.polls.claim(target, limit=limit, now=self.now, lease=LEASE, pace=PACE)
        return [each.user.user_id for each in claimed.claims]

    async def take(self, user: UUID, *, target: str = TARGET) -> Claim:
        """Claim one user, whether due or not."""
        (claim,) = await self.store.polls.claim_users(target, [user], now=self.now, lease=LEASE)
        return claim

    async def recall(self, claim: Claim) -> Known:
        """Return what the store remembers of a claimed user."""
        return (await self.store.polls.known([claim]))[claim.key]

    async def seen(self, user: UUID, *rows: Connection, complete: bool = True, target: str = TARGET) -> Verdict:
        """Claim a user and judge an answer with these rows, without committing it."""
        self.later(minutes=1)
        claim = await self.take(user, target=target)
        return judged(claim, await self.recall(claim), *rows, now=self.now, complete=complete)

    async def seen_together(self, *users: UUID, rows: tuple[Connection, ...]) -> list[Verdict]:
        """Claim users at once and judge the same answer for each, without committing it."""
        self.later(minutes=1)
        claims = await self.store.polls.claim_users(TARGET, users, now=self.now, lease=LEASE)
        known = await self.store.polls.known(claims)
        verdicts = [judged(each, known[each.key], *rows, now=self.now) for each in claims]
        return sorted(verdicts, key=lambda each: each.claim.user.user_id)

    async def see(self, user: UUID, *rows: Connection, complete: bool = True, target: str = TARGET) -> Verdict:
        """Poll a user once, with these rows for an answer."""
        return await self.commit(await self.seen(user, *rows, complete=complete, target=target))

    async def see_the_same(self, user: UUID) -> Verdict:
        """Poll a user once, whose answer's bytes are those of the last one."""
        self.later(minutes=1)
        return await self.commit(judge.unchanged(await self.take(user), CADENCE, self.now))

    async def miss(self, user: UUID, *, trusted: bool = True) -> Verdict:
        """Poll a user once, with 404 for an answer."""
        self.later(minutes=1)
        claim = await self.take(user)
        view = CALM if trusted else FORGETFUL
        return await self.commit(judge.missing(claim, await self.recall(claim), CADENCE, self.now, view))

    async def go(self, user: UUID) -> Verdict:
        """Poll a user twice, with 404 both times: it is gone."""
        await self.miss(user)
        return await self.miss(user)

    async def fail(self, user: UUID, outcome: Outcome) -> Verdict:
        """Poll a user once, and observe nothing."""
        self.later(minutes=1)
        return await self.commit(judge.unobserved(await self.take(user), outcome, CADENCE, self.now))

    async def refuse(self, user: UUID, reason: str = "not a user id") -> Verdict:
        """Poll a user twice, with 422 for an answer: it is invalid."""
        for _ in range(2):
            self.later(minutes=1)
            verdict = await self.commit(judge.invalid(await self.take(user), reason, CADENCE, self.now))
        return verdict

    async def commit(self, verdict: Verdict) -> Verdict:
        """Commit one verdict whose lease holds."""
        assert await self.store.polls.commit([verdict], now=self.now) == {verdict.claim.key}
        return verdict

    async def take_docket(self, *, limit: int = 500) -> Taken | None:
        """Take what is to be decided on now, as far as nobody else has it in hand."""
        return await self.store.alerts.take(self.policy, limit=limit, now=self.now, lease=LEASE)

    async def docket(self, *, limit: int = 500) -> Taken:
        """Take what is to be decided on now, and that there is."""
        taken = await self.take_docket(limit=limit)
        assert taken is not None
        return taken

    async def settle(self, taken: Taken, *, sinks: Collection[str] = ("log",)) -> bool:
        """Decide on what was taken, and write it."""
        outcome = evaluate(taken.docket, self.policy, self.now)
        return await self.store.alerts.settle(taken, outcome, self.policy, sinks=sinks)

    async def decide(self, *, limit: int = 500, sinks: Collection[str] = ("log",)) -> None:
        """Decide on all there is, a docket after the other."""
        more = True
        while more:
            taken = await self.take_docket(limit=limit)
            more = taken is not None and taken.more
            assert taken is None or await self.settle(taken, sinks=sinks)

    async def alerts(self, user: UUID | None = None) -> list[AlertView]:
        """Return all alerts, or those of one user, in the order in which they began."""
        return [each for each in await kept.alerts(self.store) if user in {None, each.alert.user.user_id}]

    async def open_alerts(self, user: UUID | None = None) -> list[Alert]:
        """Return the alerts that are not over."""
        return [each.alert for each in await self.alerts(user) if each.alert.is_open]

    async def told(self) -> list[tuple[Any, ...]]:
        """Return of which provider the waiting notices say what, in their order."""
        return [(each.payload["provider"], each.payload["state"]) for each in await self.notices()]

    async def transitions(self, **wanted: Any) -> list[Transition]:
        """Return all stored transitions that are wanted."""
        return [each async for each in self.store.views.transitions(TransitionFilter(**wanted))]

    async def kinds(self, **wanted: Any) -> list[Kind]:
        """Return the kinds of all stored transitions that are wanted."""
        return [each.kind for each in await self.transitions(**wanted)]

    async def connections(self, **wanted: Any) -> list[ConnectionView]:
        """Return all current connections that are wanted."""
        return [each async for each in self.store.views.connections(**wanted)]

    async def counts(self) -> dict[Key, int]:
        """Return the counts that are not zero."""
        return {key: amount for key, amount in (await self.store.views.counts()).items() if amount}

    async def claim_notifications(self, sink: str = "log") -> list[Notice]:
        """Take in hand what waits for a sink and is held back by nothing."""
        return await self.store.outbox.claim(sink, limit=100, now=self.now, lease=LEASE)

    async def deliver(self, sink: str = "log") -> None:
        """Let a sink be done with all that waits for it."""
        while claimed := await self.claim_notifications(sink):
            await self.store.outbox.settle(claimed, Done.DELIVERED, now=self.now)

    async def notices(self) -> list[Notice]:
        """Return all notices that wait."""
        return await all_waiting(self.store, "log")

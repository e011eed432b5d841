"""One process of the monitor under a simulated time of day: real polls, real evaluation, real delivery.

Junction answers as a script says, over the real client and its real parser; what is found out, decided and sent about
each user is kept, so that two runs can be compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import httpx
import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.core.judge import Cadence
from monitor.core.policy import Flapping, Policy
from monitor.delivery import Courier, Health, Rules
from monitor.evaluator import Evaluator
from monitor.job_border import JobBorder
from monitor.junction import JunctionClient
from monitor.poller import Poller, PollerSettings, Target, TargetSettings
from monitor.poller.committer import Committer
from monitor.poller.report import Report
from monitor.ports import ListedUser, Receipt, Reception, TransitionFilter
from tests.poller.world import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from monitor.ports import Claimed, Notice, Polls, Store

    Script = Callable[[str, UUID, int], httpx.Response]
    """Answers for a target and a user at a second of the story; may raise what httpx raises."""

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
INTERVAL: Final = timedelta(seconds=60)
STEP: Final = timedelta(seconds=10)
POLICY: Final = Policy(flapping=Flapping())
KEY: Final = "sk_us_open-sesame-0123456789"


@dataclass
class Sent:
    """A sink that takes everything and keeps it."""

    payloads: list[Mapping[str, Any]] = field(default_factory=list)

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Take notifications."""
        self.payloads.extend(notice.payload for notice in notices)
        return [Receipt(reception=Reception.DELIVERED)] * len(notices)

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class Noticed:
    """Polls that count the claims of each target, and the users that they took."""

    inner: Polls
    claims: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def claim(self, target: str, **settings: Any) -> Claimed:
        """Claim, and count."""
        claimed = await self.inner.claim(target, **settings)
        self.claims[target] += 1
        self.taken += len(claimed.claims)
        self.changed.set()
        return claimed

    async def another_round(self, targets: Collection[str], tick: Callable[[], None]) -> bool:
        """Return, after each target claimed once more, whether a user was taken."""
        before, taken = self.claims.copy(), self.taken
        tick()
        while any(self.claims[target] == before[target] for target in targets):
            self.changed.clear()
            await self.changed.wait()
        return self.taken > taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was polled, stored, evaluated and sent, by target and user."""

    polls: Counter[tuple[str, UUID]]
    transitions: Mapping[tuple[str, str], list[dict[str, Any]]]
    connections: Mapping[tuple[str, str], list[dict[str, Any]]]
    sent: Mapping[tuple[str, str], list[Mapping[str, Any]]]
    events: list[str]

    def of(self, target: str, users: Sequence[UUID]) -> dict[str, Any]:
        """Return what there is about these users."""
        names = [(target, str(user)) for user in users]
        kept = {"transitions": self.transitions, "connections": self.connections, "sent": self.sent}
        return {what: {name: by_user.get(name, []) for name in names} for what, by_user in kept.items()}


class Process:
    """Polls, evaluates and delivers for some targets, step by step."""

    def __init__(self, store: Store, targets: Sequence[str], script: Script) -> None:
        self._store = store
        self._script = script
        self._now = START
        self._asked: Counter[tuple[str, UUID]] = Counter()
        self._logs = LogCapture()
        self._sink = Sent()
        self._polls = Noticed(store.polls)
        metrics = Recorded()
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self._logs])
        availability = Availability(metrics, log)
        border = JobBorder(availability, metrics, log)
        cadence = Cadence(interval=INTERVAL, gone_interval=timedelta(days=1))
        self._junctions = {name: self._junction(name) for name in targets}
        self._targets = {
            name: Target(
                TargetSettings(name=name, max_requests_per_second=1000, cadence=cadence), junction, metrics, log
            )
            for name, junction in self._junctions.items()
        }
        report = Report(metrics, log, str)
        self._poller = Poller(
            targets=self._targets,
            polls=self._polls,
            committer=Committer(polls=store.polls, metrics=metrics, report=report, clock=self._clock),
            settings=PollerSettings(concurrency=8, timeout=timedelta(seconds=15)),
            border=border,
            metrics=metrics,
            log=log,
            clock=self._clock,
            on_commit=lambda _: None,
        )
        self._evaluator = Evaluator(
            alerts=store.alerts, policy=POLICY, sinks=["pager"], metrics=metrics, log=log, clock=self._clock
        )
        self._courier = Courier(
            "pager",
            self._sink,
            Rules(at_once=20, lease=timedelta(seconds=30)),
            outbox=store.outbox,
            health=Health("pager", log),
            metrics=metrics,
            border=border,
            log=log,
            clock=self._clock,
        )

    async def live(self, users: Mapping[str, Sequence[UUID]], lasts: timedelta) -> Story:
        """Register users, let time pass, and return what came of it."""
        for target, ids in users.items():
            listed = [ListedUser(user_id=user, client_user_id=None) for user in ids]
            await self._store.cohort.register(target, listed, now=self._now, revive=True)
        running = asyncio.create_task(self._poller.run())
        try:
            while self._now < START + lasts:
                await self._step()
        finally:
            self._poller.stop()
            await running
            for junction in self._junctions.values():
                await junction.aclose()
        return await self._story()

    async def _step(self) -> None:
        self._now += STEP
        idle_rounds = 0
        while idle_rounds < 2:  # a claim may have been under way already when the round began
            took = await self._polls.another_round(self._targets, self._poller.tick)
            await self._poller.settled()
            idle_rounds = 0 if took else idle_rounds + 1
        await self._evaluator.decide()
        await self._courier._deliver()

    def _junction(self, target: str) -> JunctionClient:
        async def answer(request: httpx.Request) -> httpx.Response:
            path = request.url.path.rsplit("/", 1)[-1]
            if path == "user":
                return httpx.Response(200, json={"users": [], "total": 0})
            user = UUID(path)
            self._asked[target, user] += 1
            return self._script(target, user, int((self._now - START).total_seconds()))

        return JunctionClient(
            base_url="http://junction.test",
            api_key=lambda: KEY,
            timeout=timedelta(seconds=15),
            max_body_bytes=100_000,
            concurrency=8,
            external_user_id=lambda _: None,
            transport=httpx.MockTransport(answer),
        )

    def _clock(self) -> datetime:
        return self._now

    async def _story(self) -> Story:
        transitions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        async for fact in self._store.views.transitions(TransitionFilter()):
            transitions.setdefault((fact.target, str(fact.user_id)), []).append(asdict(fact))
        connections: dict[tuple[str, str], list[dict[str, Any]]] = {}
        async for view in self._store.views.connections():
            connections.setdefault((view.target, str(view.user_id)), []).append(asdict(view))
        sent: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for payload in self._sink.payloads:
            sent.setdefault((payload["target"], payload["user_id"]), []).append(payload)
        return Story(
            polls=self._asked,
            transitions=transitions,
            connections=connections,
            sent=sent,
            events=[str(line["event"]) for line in self._logs.entries],
        )

"""The real poller around the in-memory store and a scripted Junction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.core.judge import Cadence
from monitor.job_border import JobBorder
from monitor.poller import Poller, PollerSettings, Target, TargetSettings
from monitor.poller.committer import Committer
from monitor.poller.report import Report
from monitor.ports import ListedUser
from monitor.store.memory import MemoryStore
from tests.poller.world import FakeJunction, Recorded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from monitor.core.judge import Verdict
    from monitor.ports import Polls, Store

TARGET = "acme"


def user(number: int) -> UUID:
    """Return always the same user id."""
    return UUID(int=number + 1)


@dataclass
class Rig:
    """Everything a poller needs; ``polls`` may be wrapped to fail."""

    junction: FakeJunction = field(default_factory=FakeJunction)
    store: Store = field(default_factory=MemoryStore)
    metrics: Recorded = field(default_factory=Recorded)
    logs: LogCapture = field(default_factory=LogCapture)
    concurrency: int = 4
    rate: float = 10_000
    interval: timedelta = timedelta(minutes=15)
    timeout: timedelta = timedelta(seconds=2)
    verdicts: list[Verdict] = field(default_factory=list)
    wrap: Callable[[Polls], Polls] = lambda polls: polls
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        """Put the poller together."""
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])
        self.polls = self.wrap(self.store.polls)
        self.availability = Availability(self.metrics, log)
        self._log = log
        self.target = self._make_target(TARGET, self.junction)
        self._make_poller({TARGET: self.target})

    def add_target(self, name: str, junction: FakeJunction) -> None:
        """Let the poller poll another target as well."""
        self._make_poller({TARGET: self.target, name: self._make_target(name, junction)})

    def _make_target(self, name: str, junction: FakeJunction) -> Target:
        cadence = Cadence(interval=self.interval, gone_interval=timedelta(days=1))
        settings = TargetSettings(name=name, max_requests_per_second=self.rate, cadence=cadence)
        return Target(settings, junction, self.metrics, self._log)

    def _make_poller(self, targets: dict[str, Target]) -> None:
        log = self._log
        self.poller = Poller(
            targets=targets,
            polls=self.polls,
            committer=Committer(
                polls=self.polls,
                metrics=self.metrics,
                report=Report(self.metrics, log, str),
                clock=self.now,
            ),
            settings=PollerSettings(concurrency=self.concurrency, timeout=self.timeout),
            border=JobBorder(self.availability, self.metrics, log),
            metrics=self.metrics,
            log=log,
            clock=self.now,
            on_commit=self._keep,
        )

    def _keep(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts.extend(verdicts)

    async def register(self, count: int, *, target: str = TARGET) -> list[UUID]:
        """Register users, all due at once."""
        users = [user(number) for number in range(count)]
        listed = [ListedUser(user_id=each, client_user_id=None) for each in users]
        await self.store.cohort.register(target, listed, now=self.now(), revive=True)
        return users

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick the poller while the block runs, then drain it."""
        task = asyncio.create_task(self.poller.run())
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            self.poller.stop()
            await task

    async def until(self, condition: Callable[[], bool], within: float = 5) -> None:
        """Return once ``condition`` holds."""
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 - the condition is not an event
                await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        while True:
            self.poller.tick()
            await asyncio.sleep(0.02)

    def events(self) -> list[str]:
        """Return the names of the events that were logged."""
        return [str(each["event"]) for each in self.logs.entries]

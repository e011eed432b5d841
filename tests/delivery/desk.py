"""Couriers around the in-memory outbox, under a clock that moves when told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.core.telling import Telling
from monitor.delivery import Courier, Health, Rules
from monitor.job_border import JobBorder
from monitor.sinks import AlertmanagerSink, LogSink, WebhookSink
from tests.poller.world import Recorded
from tests.store.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.ports import Notice, Receipt, Sink, SummarySink

SECRET: Final = "whsec_cHV0LXlvdXItb3duLXNlY3JldC1oZXJlIQ"
PLAIN: Final = Telling(user_id=str, runbook_base_url=None)
RULES: Final = Rules(at_once=8, lease=timedelta(seconds=30), give_up_after=timedelta(days=3))
TIMEOUT: Final = timedelta(seconds=0.5)


class Lines:
    """An alert log whose pipe breaks after ``good`` lines."""

    def __init__(self, good: int = 1_000_000) -> None:
        self.good = good
        self.written: list[tuple[str, str]] = []

    def write(self, event: str, payload: Mapping[str, Any]) -> None:
        """Write, or fail as a closed pipe does."""
        assert event in {"connection.alert", "incident.alert"}
        if len(self.written) >= self.good:
            raise BrokenPipeError("broken")
        self.written.append((payload["alert_id"], payload["state"]))


@dataclass
class Desk:
    """Everything that delivery needs."""

    teller: Teller = field(default_factory=Teller)
    metrics: Recorded = field(default_factory=Recorded)
    logs: LogCapture = field(default_factory=LogCapture)
    opened: list[Sink] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin to log."""
        self.log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])

    def webhook(self, url: str, telling: Telling = PLAIN) -> WebhookSink:
        """Return a sink that posts to ``url``."""
        sink = WebhookSink(url=url, secrets=lambda: [SECRET], timeout=TIMEOUT, telling=telling, clock=self.teller.clock)
        self.opened.append(sink)
        return sink

    def alertmanager(self, *urls: str, token: str | None = None, timeout: timedelta = TIMEOUT) -> AlertmanagerSink:
        """Return a sink that posts to these Alertmanagers."""
        sink = AlertmanagerSink(
            name="pager",
            urls=urls,
            bearer_token=lambda: token,
            timeout=timeout,
            resend_every=timedelta(minutes=1),
            telling=PLAIN,
            outbox=self.teller.store.outbox,
            clock=self.teller.clock,
        )
        self.opened.append(sink)
        return sink

    def courier(self, sink: Sink | SummarySink, rules: Rules = RULES, name: str = "pager") -> Courier:
        """Return the loop of a sink."""
        return Courier(
            name,
            sink,
            rules,
            outbox=self.teller.store.outbox,
            health=Health(name, self.log),
            metrics=self.metrics,
            border=JobBorder(Availability(self.metrics, self.log), self.metrics, self.log),
            log=self.log,
            clock=self.teller.clock,
        )

    def log_courier(self, lines: Lines) -> Courier:
        """Return the loop of the alert log."""
        return self.courier(LogSink(lines), Rules(at_once=200, lease=timedelta(seconds=30)), name="log")

    async def undelivered(self, sink: str = "pager") -> int:
        """Return how many notices wait for a sink."""
        return (await self.teller.store.outbox.undelivered()).get(sink, 0)

    def count(self, outcome: str, sink: str = "pager") -> int:
        """Return how many notices met this outcome."""
        return sum(each[2] for each in self.metrics.of("delivered") if each[:2] == (sink, outcome))

    def said(self, event: str) -> list[Any]:
        """Return the lines of an event."""
        return [each for each in self.logs.entries if each["event"] == event]


async def once(courier: Courier) -> None:
    """Let a loop look for what waits once, unless it leaves its sink alone."""
    if not courier._pause.holds(courier._clock()):
        await courier._round()


@dataclass
class Scripted:
    """A sink that does what it is told, one receipt after the other, the last one for ever."""

    receipts: list[Receipt]
    told: list[Notice] = field(default_factory=list)
    summaries: list[Sequence[Notice]] = field(default_factory=list)

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Take or refuse."""
        self.told += notices
        return [self._next() for _ in notices]

    async def summarise(self, notices: Sequence[Notice]) -> Receipt:
        """Take or refuse."""
        self.summaries.append(notices)
        return self._next()

    async def aclose(self) -> None:
        """Do nothing."""

    def _next(self) -> Receipt:
        return self.receipts.pop(0) if len(self.receipts) > 1 else self.receipts[0]


async def until(condition: Any, within: float = 5) -> None:
    """Return once ``condition`` holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition is not an event
            await asyncio.sleep(0.01)

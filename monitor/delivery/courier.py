"""One sink's loop: takes its notices out of the outbox, tells them, and writes down what became of each.

Delivery is at least once: a notice is taken under a lease and marked after the sink took it, so where a process dies
in between, it or another one tells it again.

1. What the sink took is done with.
2. What it refused (a verdict on the notice) waits longer and longer, and holds up no other.
3. Where it took or refused nothing, the sink is left alone for longer and longer. A notice that got there waits as
   long, so that the next attempt is made with others beside it: one that always breaks a receiver spoils no other.
4. What could not be told for ``give_up_after`` is given up, with a line each.
5. A sink that asks to wait (``Retry-After``) is left alone for so long. One whose address is gone (410) gets nothing
   for an hour, and all that waits for it is given up, with one line: after that, or a restart, it is tried again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.delivery import backoff
from monitor.delivery.storm import Storm
from monitor.job_border import notify
from monitor.ports import ANSWERED, Done, Reception

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from structlog.typing import FilteringBoundLogger

    from monitor.delivery.health import Health
    from monitor.job_border import JobBorder
    from monitor.ports import Metrics, Notice, Outbox, Receipt, Sink, SummarySink

MANY: Final = 1000
"""Notices in one summary, or given up at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one sink is told.

    ``at_once`` notices are handed over together, and their ``lease`` is longer than that takes. ``give_up_after`` None
    never gives up. ``max_per_minute`` None has no limit, and else wants a sink that can be told a summary.
    """

    at_once: int
    lease: timedelta
    give_up_after: timedelta | None = None
    max_per_minute: int | None = None


class Courier:
    """Tells one sink what waits for it, whenever it is woken."""

    def __init__(
        self,
        name: str,
        sink: Sink | SummarySink,
        rules: Rules,
        *,
        outbox: Outbox,
        health: Health,
        metrics: Metrics,
        border: JobBorder,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
    ) -> None:
        self.name = name
        self._sink = sink
        self._rules = rules
        self._outbox = outbox
        self._health = health
        self._metrics = metrics
        self._border = border
        self._log = log
        self._clock = clock
        self._pause = backoff.Pause()
        self._storm = None if rules.max_per_minute is None else Storm(name, rules.max_per_minute, outbox)
        self._wake = asyncio.Event()
        self._stopping = False

    def tick(self) -> None:
        """Look for what waits now."""
        self._wake.set()

    def stop(self) -> None:
        """Try once more what waits; then :meth:`run` returns."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until :meth:`stop`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            last = self._stopping
            if last or not self._pause.holds(self._clock()):
                await self._round()
            if last:
                return

    async def _round(self) -> None:
        # What was not marked when a round fails is sent again at a later tick.
        async with self._border(notify(self.name)):
            await (self._deliver() if self._storm is None else self._deliver_within(self._storm))

    async def _deliver(self) -> None:
        while notices := await self._claim(self._rules.at_once):
            if not await self._hand_over(notices):
                return

    async def _deliver_within(self, storm: Storm) -> None:
        """Tell incidents whatever the limit says, then others up to it; what was over it a minute ago, in one."""
        minute = storm.minute(self._clock())
        if storm.was_over(minute) and not await self._roll_up(minute):
            return
        while notices := await self._claim(self._rules.at_once, incidents_only=True):
            if not await self._hand_over(notices):
                return
        while left := await storm.left(minute):
            notices = await self._claim(min(left, self._rules.at_once))
            if not notices or not await self._hand_over(notices):
                return
        storm.is_over(minute)

    async def _roll_up(self, before: datetime) -> bool:
        """Tell what waits since before this minute in summaries; return whether the sink took them."""
        while notices := await self._claim(MANY):
            over = [each for each in notices if each.created_at < before and each.event != events.INCIDENT_ALERT]
            rolled_up = {each.id for each in over}
            await self._outbox.release([each for each in notices if each.id not in rolled_up])
            if len(over) <= 1:
                await self._outbox.release(over)
                return True
            if not await self._summarise(over):
                return False
        return True

    async def _summarise(self, notices: Sequence[Notice]) -> bool:
        assert hasattr(self._sink, "summarise")  # noqa: S101 - what Rules say
        try:
            receipt = await self._sink.summarise(notices)
        except asyncio.CancelledError:
            await self._outbox.release(notices)
            raise
        if receipt.reception is Reception.DELIVERED:
            self._log.warning(events.SINK_ROLLED_UP, sink=self.name, notices=len(notices))
        return await self._note(notices, [receipt] * len(notices), Done.ROLLED_UP)

    async def _hand_over(self, notices: Sequence[Notice]) -> bool:
        """Tell notices and return whether to go on."""
        try:
            receipts = await self._sink.tell(notices)
        except asyncio.CancelledError:
            await self._outbox.release(notices)
            raise
        return await self._note(notices, receipts, Done.DELIVERED)

    async def _note(self, notices: Sequence[Notice], receipts: Sequence[Receipt], done: Done) -> bool:
        now, pairs = self._clock(), list(zip(notices, receipts, strict=True))
        told = [each for each, receipt in pairs if receipt.reception is Reception.DELIVERED]
        failed = [pair for pair in pairs if pair[1].reception is not Reception.DELIVERED]
        await self._outbox.settle(told, done, now=now)
        self._metrics.delivered(self.name, done.value, len(told))
        self._metrics.delivered(self.name, "failed", len(failed))
        answered = any(each.reception in ANSWERED for each in receipts)
        gone = next((each for each in receipts if each.reception is Reception.GONE), None)
        if gone is not None:
            await self._give_up_for_gone([each for each, _ in failed], gone, now)
            return False
        retry_at = self._note_health(receipts, now, answered=answered)
        given_up = await self._give_up([pair for pair in failed if self._is_too_old(pair[0], now)], now)
        await self._try_again([pair for pair in failed if pair[0].id not in given_up], now, retry_at)
        if not answered:
            await self._give_up_all_too_old(receipts[0], now)
        return retry_at is None and all(each.reception is not Reception.UNREACHABLE for each in receipts)

    def _note_health(self, receipts: Sequence[Receipt], now: datetime, *, answered: bool) -> datetime | None:
        """Return when the sink is tried again, None where there is no need to wait."""
        wait = max((each.retry_after for each in receipts if each.retry_after), default=None)
        if answered:
            self._health.works()
            self._pause.worked()
            return None if wait is None else self._pause.wait(now, wait)
        self._health.fails(receipts[0])
        return self._pause.failed(now, wait)

    async def _try_again(self, failed: Sequence[tuple[Notice, Receipt]], now: datetime, at: datetime | None) -> None:
        unreached = [each for each, receipt in failed if receipt.reception is Reception.UNREACHABLE]
        await self._outbox.release(unreached)
        groups: dict[tuple[datetime, str | None], list[Notice]] = {}
        for each, receipt in failed:
            if receipt.reception is Reception.UNREACHABLE:
                continue
            if receipt.reception is Reception.REFUSED and not each.attempts:
                self._refused(each, receipt)
            due = at or now + backoff.delay(each.attempts + 1, *backoff.OF_NOTICE)
            groups.setdefault((due, _error(receipt)), []).append(each)
        for (due, error), notices in groups.items():
            await self._outbox.retry(notices, error, at=due)

    async def _give_up(self, too_old: Sequence[tuple[Notice, Receipt]], now: datetime) -> set[int]:
        await self._outbox.settle([each for each, _ in too_old], Done.GAVE_UP, now=now)
        self._metrics.delivered(self.name, Done.GAVE_UP.value, len(too_old))
        for each, receipt in too_old:
            about = {"alert_id": str(each.alert_id), "state": each.state, "attempts": each.attempts + 1}
            self._log.error(events.SINK_GAVE_UP, sink=self.name, **about, reason=receipt.reason, status=receipt.status)
        return {each.id for each, _ in too_old}

    async def _give_up_for_gone(self, notices: Sequence[Notice], receipt: Receipt, now: datetime) -> None:
        """Give up these and all that waits for a sink whose address is gone, and leave it alone."""
        given_up = 0
        while notices:
            await self._outbox.settle(notices, Done.GAVE_UP, now=now)
            given_up += len(notices)
            notices = await self._claim(MANY)
        self._metrics.delivered(self.name, Done.GAVE_UP.value, given_up)
        self._health.gone(receipt, given_up)
        self._pause.failed(now, receipt.retry_after)

    async def _give_up_all_too_old(self, receipt: Receipt, now: datetime) -> None:
        """Give up what is too old without an attempt of its own, while the sink does not answer at all."""
        while notices := await self._claim(MANY):
            given_up = await self._give_up([(each, receipt) for each in notices if self._is_too_old(each, now)], now)
            await self._outbox.release([each for each in notices if each.id not in given_up])
            if len(given_up) < len(notices):
                return

    def _is_too_old(self, notice: Notice, now: datetime) -> bool:
        give_up_after = self._rules.give_up_after
        return give_up_after is not None and now - notice.created_at >= give_up_after

    def _refused(self, notice: Notice, receipt: Receipt) -> None:
        about = {"alert_id": str(notice.alert_id), "state": notice.state}
        self._log.warning(events.SINK_REFUSED, sink=self.name, **about, reason=receipt.reason, status=receipt.status)

    async def _claim(self, limit: int, *, incidents_only: bool = False) -> list[Notice]:
        return await self._outbox.claim(
            self.name, limit=limit, now=self._clock(), lease=self._rules.lease, incidents_only=incidents_only
        )


def _error(receipt: Receipt) -> str | None:
    return f"{receipt.reason}: {receipt.detail}" if receipt.detail else receipt.reason

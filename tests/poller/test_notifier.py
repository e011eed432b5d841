from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.notifier import Notifier
from monitor.ports import Notice
from tests.poller.world import Recorded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import timedelta


class Box:
    """An outbox of numbered notices."""

    def __init__(self, count: int) -> None:
        self.waiting = {number: Notice(id=number, lease=0, payload={"number": number}) for number in range(count)}
        self.lent: set[int] = set()

    async def claim(self, *, limit: int, now: datetime, lease: timedelta) -> list[Notice]:
        """Lend the oldest."""
        assert now + lease > now
        free = [each for each in self.waiting.values() if each.id not in self.lent][:limit]
        self.lent.update(each.id for each in free)
        return free

    async def release(self, notices: Sequence[Notice]) -> None:
        """Take back what was lent."""
        self.lent.difference_update(each.id for each in notices)

    async def mark_written(self, ids: Collection[int], *, now: datetime) -> None:
        """Forget what was written."""
        assert now.tzinfo is UTC
        for each in ids:
            del self.waiting[each]

    async def undelivered(self) -> int:
        """Count."""
        return len(self.waiting)


class Lines:
    """An alert log whose pipe breaks after ``good`` lines."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.written: list[int] = []

    def write(self, payload: Mapping[str, Any]) -> None:
        """Write, or fail as a closed pipe does."""
        if len(self.written) >= self.good:
            raise BrokenPipeError
        self.written.append(payload["number"])


async def deliver(box: Box, lines: Lines, metrics: Recorded) -> None:
    """Let a notifier tell what it can, once."""
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[LogCapture()])
    notifier = Notifier(
        outbox=box,
        alert_log=lines,
        metrics=metrics,
        availability=Availability(metrics, log),
        log=log,
        clock=lambda: datetime.now(UTC),
    )
    running = asyncio.create_task(notifier.run())
    notifier.stop()
    await running


async def test_all_pending_notices_are_written_in_order() -> None:
    """More than one page of them is told, oldest first, and the outbox is empty."""
    box, lines = Box(450), Lines(good=1000)
    await deliver(box, lines, Recorded())
    assert lines.written == list(range(450))
    assert not box.waiting


async def test_a_line_that_could_not_be_written_stays_in_the_outbox() -> None:
    """What was flushed is marked, what was not is told again."""
    box, lines, metrics = Box(5), Lines(good=3), Recorded()
    await deliver(box, lines, metrics)
    assert list(box.waiting) == [3, 4]
    assert ("log", "failed", 1) in metrics.of("delivered")

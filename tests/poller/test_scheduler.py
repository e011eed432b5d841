"""The scheduler under clocks that are set."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.scheduler import Scheduler, SteadyInterval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOUR = timedelta(hours=1)


class Watched:
    """A scheduler that ticks every 50 ms and looks at the clock as often."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.ticks = 0
        self.steps: list[float] = []
        self.scheduler.tick(0.05, "tick", self._tick)

    def _tick(self) -> None:
        self.ticks += 1

    async def stepped(self, seconds: float) -> None:
        """Remember the step."""
        self.steps.append(seconds)

    async def ticks_on(self) -> bool:
        """Return whether there are more ticks after a while."""
        before = self.ticks
        await asyncio.sleep(0.3)
        return self.ticks > before


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """Give a running scheduler whose clock is watched."""
    monkeypatch.setattr("monitor.scheduler.LOOK_AT_CLOCK_EVERY", 0.05)
    watched = Watched()
    watched.scheduler.start()
    task = asyncio.create_task(watched.scheduler.watch_clock(watched.stepped))
    yield watched
    task.cancel()
    watched.scheduler.stop()


async def test_a_clock_that_is_right_is_no_step(watched: Watched) -> None:
    """However long it ticks."""
    assert await watched.ticks_on()
    assert watched.steps == []


async def test_a_clock_set_forward_and_back_between_two_looks_is_a_step(watched: Watched) -> None:
    """The tick that was planned meanwhile is an hour away, and comes at once all the same."""
    (job,) = watched.scheduler._inner.get_jobs()
    job.modify(next_run_time=datetime.now(UTC) + HOUR)
    assert await watched.ticks_on()
    (step,) = watched.steps
    assert step == pytest.approx(-3600, abs=5)


def test_ticks_that_were_missed_are_not_counted_one_by_one() -> None:
    """A clock that is set forward by a month leads to one tick and the next one an interval later."""
    trigger = SteadyInterval(seconds=0.25, timezone="UTC")
    before = datetime(2026, 11, 1, tzinfo=UTC)
    after = before + timedelta(days=30)
    assert trigger.get_next_fire_time(before, before) == before + timedelta(seconds=0.25)
    assert trigger.get_next_fire_time(before, after) == after + timedelta(seconds=0.25)

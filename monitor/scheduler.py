"""The clockwork: APScheduler ticks a few explicit jobs.

Jobs only tick. What they start belongs to the application, which drains it: APScheduler's asyncio executor cancels
running jobs at shutdown instead of waiting for them. ``misfire_grace_time`` is off, because a late tick is still a
tick. It also goes by the time of day: where that is set back by an hour, it would do nothing for an hour, so a step of
the clock is looked for beside it, on the clock that nobody sets.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

POLL_TICK: Final = 0.25
EVALUATE_TICK: Final = 1.0
NOTIFY_TICK: Final = 1.0
TURN_TICK: Final = 2.0
SIZE_UP_EVERY: Final = 15.0
LOOK_AT_CLOCK_EVERY: Final = 1.0
STEP: Final = 2.0
"""Seconds by which the time of day must differ from what it should be, to have been set."""
LIVE_WITHIN: Final = 30.0
"""Seconds after the last tick for which the scheduler counts as alive."""


class SteadyInterval(IntervalTrigger):  # type: ignore[misc] # APScheduler has no types
    """An interval whose missed ticks are not made up for.

    APScheduler counts them one by one: after a clock that is set forward by weeks these are millions, and the process
    hangs until it has counted them.
    """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next tick after the previous one, and one interval from ``now`` where that has passed."""
        following: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        if previous_fire_time is None or following is None or following > now:
            return following
        interval: timedelta = self.interval
        return now + interval


class Scheduler:
    """Ticks until it is stopped, and knows whether it still does."""

    def __init__(self) -> None:
        self._inner = AsyncIOScheduler(timezone="UTC")
        self._ticked_at = time.monotonic()

    def every(
        self,
        seconds: float,
        name: str,
        job: Callable[[], Awaitable[None]],
        *,
        first: datetime | None = None,
    ) -> None:
        """Run ``job`` every so many seconds, never two of it at once; ``first`` is when, None after one interval."""
        times = {} if first is None else {"next_run_time": first}
        self._inner.add_job(
            job,
            SteadyInterval(seconds=seconds, timezone="UTC"),
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            **times,
        )

    def tick(self, seconds: float, name: str, wake: Callable[[], None]) -> None:
        """Call ``wake`` every so many seconds."""

        async def job() -> None:
            self._ticked_at = time.monotonic()
            wake()

        self.every(seconds, name, job)

    def start(self) -> None:
        """Begin to tick, in the running loop."""
        self._ticked_at = time.monotonic()
        self._inner.start()

    def stop(self) -> None:
        """Tick no more; a running job is cancelled, so stop it first where that matters."""
        if self._inner.running:
            self._inner.shutdown(wait=False)

    async def watch_clock(self, stepped: Callable[[float], Awaitable[None]]) -> None:
        """Go on where the time of day is set, for ever; ``stepped`` is told by how many seconds, and must not raise.

        A clock that was set forward and back between two looks shows in ticks that are further ahead than their
        interval.
        """
        expected = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(LOOK_AT_CLOCK_EVERY)
            found = time.time() - time.monotonic()
            step = found - expected
            if abs(step) < STEP:
                step = -self._seconds_ahead()
            if abs(step) >= STEP:
                for job in self._inner.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
                await stepped(step)
            expected = found

    def _seconds_ahead(self) -> float:
        """Return by how much the next tick of a job is further ahead than its interval."""
        now = datetime.now(UTC)
        jobs = [job for job in self._inner.get_jobs() if job.next_run_time is not None]
        return max((job.next_run_time - now - job.trigger.interval).total_seconds() for job in jobs) if jobs else 0.0

    @property
    def alive(self) -> bool:
        """Whether a tick came lately."""
        return time.monotonic() - self._ticked_at < LIVE_WITHIN

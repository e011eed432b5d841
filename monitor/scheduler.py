"""The clockwork: APScheduler ticks a few explicit jobs.

Jobs only tick. What they start belongs to the application, which drains it: APScheduler's asyncio executor cancels
running jobs at shutdown instead of waiting for them. ``misfire_grace_time`` is off, because a late tick is still a
tick.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

POLL_TICK: Final = 0.25
EVALUATE_TICK: Final = 1.0
NOTIFY_TICK: Final = 1.0
TURN_TICK: Final = 2.0
SIZE_UP_EVERY: Final = 60.0
LIVE_WITHIN: Final = 30.0
"""Seconds after the last tick for which the scheduler counts as alive."""


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
            "interval",
            seconds=seconds,
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

    @property
    def alive(self) -> bool:
        """Whether a tick came lately."""
        return time.monotonic() - self._ticked_at < LIVE_WITHIN

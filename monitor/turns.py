"""Recurring jobs that run on one replica at a time: whoever gets the lease takes the turn.

1. A tick tries to take the job; it is had by nobody else and did not run for its interval.
2. While the job runs its lease is renewed; if another replica took it over meanwhile, or the renewal itself fails, the
   job is cancelled here.
3. At the end the time of the run is stored, so that a restart of the daemon is no reason to run it again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor.errors import StoreUnavailable
from monitor.supervisor import on_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from monitor.job_border import JobBorder
    from monitor.ports import Upkeep

LEASE: Final = timedelta(seconds=60)
RETRY: Final = timedelta(minutes=5)
"""A job that could not do its work is tried again after this, or after its interval where that is shorter."""
MOST_DOUBLINGS: Final = 10
"""Of a first retry: a second is longer than ``RETRY`` by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``work`` returns whether it did what it is for.

    Where it did not, it is tried again after ``first_retry``, then after twice as long each time, up to ``RETRY``.
    """

    name: str
    every: timedelta
    work: Callable[[], Awaitable[bool]]
    first_retry: timedelta = RETRY


class Turns:
    """Runs jobs in turn with the other replicas, and owns what runs here."""

    def __init__(self, upkeep: Upkeep, *, border: JobBorder, clock: Callable[[], datetime]) -> None:
        self._upkeep = upkeep
        self._border = border
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failures: Counter[str] = Counter()

    def tick(self, job: Job) -> None:
        """Take the job where it is due and nobody has it in hand."""
        if job.name not in self._running:
            task = asyncio.create_task(self._take(job), name=job.name)
            self._running[job.name] = task
            task.add_done_callback(lambda _: self._running.pop(job.name))

    async def stop(self) -> None:
        """Cancel what runs and give it back; it is due as before."""
        running = list(self._running.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _take(self, job: Job) -> None:
        async with self._border(job.name):
            held = await self._upkeep.begin(job.name, every=job.every, now=self._clock(), lease=LEASE)
            if held is not None:
                await self._run(job, held)

    async def _run(self, job: Job, held: int) -> None:
        began, ran_at = self._clock(), None
        working = asyncio.current_task()
        keeping = asyncio.create_task(self._keep_lease(job, held), name=f"renew {job.name}")
        on_end(keeping, lambda error: self._end_without_lease(job, working, error))
        try:
            done = await job.work()
            ran_at = self._ran_at(job, began, done=done)
        finally:
            keeping.cancel()
            await self._upkeep.end(job.name, held, ran_at=ran_at)

    def _ran_at(self, job: Job, began: datetime, *, done: bool) -> datetime:
        """Return the time of the run to store: one that failed is stored so that the job is due after its retry."""
        if done:
            del self._failures[job.name]
            return began
        longer: int = 2 ** min(self._failures[job.name], MOST_DOUBLINGS)
        wait = min(job.every, RETRY, job.first_retry * longer)
        self._failures[job.name] += 1
        return self._clock() - job.every + wait

    async def _keep_lease(self, job: Job, held: int) -> None:
        """Renew the lease; return when another replica has it."""
        is_ours = True
        while is_ours:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                is_ours = await self._upkeep.renew(job.name, held, now=self._clock(), lease=LEASE)
            except StoreUnavailable as error:
                self._border.availability.lost(job.name, error)

    def _end_without_lease(self, job: Job, working: asyncio.Task[None] | None, error: BaseException | None) -> None:
        """Cancel a job that nobody renews the lease of: another replica may run it soon."""
        if error is not None:
            self._border.crashed(f"renew {job.name}", None, error)
        if working is not None:
            working.cancel()

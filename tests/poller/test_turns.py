"""Jobs that one replica does for all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from structlog.testing import LogCapture

from monitor import turns
from monitor.availability import Availability
from monitor.errors import StoreUnavailable
from monitor.job_border import JobBorder
from monitor.store.memory import MemoryStore
from monitor.store.memory.tables import Tables
from monitor.store.memory.upkeep import MemoryUpkeep
from monitor.turns import RETRY, Job, Turns
from tests.poller.world import Recorded

if TYPE_CHECKING:
    import pytest

    from monitor.ports import Upkeep

HOUR = timedelta(hours=1)


class Replicas:
    """Two replicas on one store, under one clock that is moved by hand."""

    def __init__(self, upkeep: Upkeep | None = None) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.logs = LogCapture()
        self.runs = 0
        self.ends = asyncio.Event()
        self.upkeep = upkeep or MemoryStore().upkeep
        self.one, self.other = self._replica(), self._replica()

    def _replica(self) -> Turns:
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])
        metrics = Recorded()
        border = JobBorder(Availability(metrics, log), metrics, log)
        return Turns(self.upkeep, border=border, clock=lambda: self.now)

    def job(self, *, done: bool = True) -> Job:
        """Return an hourly job that counts its runs, and goes on until it is told to end."""

        async def work() -> bool:
            self.runs += 1
            await self.ends.wait()
            return done

        return Job(name="discover", every=HOUR, work=work)

    async def tick(self, job: Job) -> int:
        """Let both try, and return how often the job was begun."""
        for each in (self.one, self.other):
            each.tick(job)
        await asyncio.sleep(0.01)
        return self.runs

    def events(self) -> list[str]:
        """Return the names of the events that were logged."""
        return [str(each["event"]) for each in self.logs.entries]


async def test_one_replica_runs_a_job_and_the_next_time_is_an_interval_later() -> None:
    """Whoever ticks, and however often."""
    replicas = Replicas()
    job = replicas.job()
    assert await replicas.tick(job) == 1
    replicas.ends.set()
    assert await replicas.tick(job) == 1
    replicas.now += HOUR
    assert await replicas.tick(job) == 2


async def test_a_job_that_failed_is_tried_again_soon() -> None:
    """Not at every tick, and not as late as its interval."""
    replicas = Replicas()
    replicas.ends.set()
    job = replicas.job(done=False)
    await replicas.tick(job)
    assert await replicas.tick(job) == 1
    replicas.now += RETRY
    assert await replicas.tick(job) == 2


async def test_a_job_may_be_tried_again_within_seconds_and_then_ever_later() -> None:
    """Up to the wait of every job; a run that does its work begins anew."""
    replicas = Replicas()
    replicas.ends.set()
    results = iter([*[False] * 10, True, False])

    async def work() -> bool:
        replicas.runs += 1
        return next(results)

    job = Job(name="discover", every=HOUR, work=work, first_retry=timedelta(seconds=2))
    waits = []
    for _ in range(12):
        runs = replicas.runs
        waited = timedelta(0)
        while replicas.runs == runs:
            replicas.one.tick(job)
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            waited += timedelta(seconds=2)
            replicas.now += timedelta(seconds=2)
        waits.append(waited.total_seconds())
    assert waits[1:] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 3600]


async def test_a_job_that_is_stopped_is_done_by_the_next() -> None:
    """A daemon that drains gives it back."""
    replicas = Replicas()
    await replicas.tick(replicas.job())
    await replicas.one.stop()
    assert await replicas.tick(replicas.job()) == 2
    await replicas.one.stop()
    await replicas.other.stop()


async def test_a_crash_is_logged_and_the_job_given_back() -> None:
    """The next tick tries again."""
    replicas = Replicas()

    async def work() -> bool:
        replicas.runs += 1
        raise ZeroDivisionError

    job = Job(name="discover", every=HOUR, work=work)
    replicas.one.tick(job)
    await asyncio.sleep(0.01)
    assert await replicas.tick(job) >= 2
    assert set(replicas.events()) == {"job.crashed"}


async def test_a_job_that_another_one_took_over_is_cancelled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that slept through its lease does not go on beside the other."""
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=0.06))
    replicas = Replicas()
    job = replicas.job()
    replicas.one.tick(job)
    await asyncio.sleep(0.01)
    replicas.now += HOUR
    replicas.other.tick(job)
    await asyncio.sleep(0.01)
    assert replicas.runs == 2
    await asyncio.sleep(0.05)
    assert not replicas.one._running
    assert replicas.other._running
    await replicas.other.stop()


async def test_a_job_is_cancelled_when_the_renewal_of_its_lease_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another replica may take it over; the crash is logged, and a later tick begins the job anew."""
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=0.06))

    class Crashing(MemoryUpkeep):
        async def renew(self, job: str, held: int, **_: object) -> bool:
            raise ZeroDivisionError(job, held)

    replicas = Replicas(Crashing(Tables()))
    job = replicas.job()
    replicas.one.tick(job)
    await asyncio.sleep(0.05)
    assert not replicas.one._running
    assert [(each["event"], each["job"]) for each in replicas.logs.entries] == [("job.crashed", "renew discover")]
    replicas.one.tick(job)
    await asyncio.sleep(0.01)
    assert replicas.runs == 2
    await replicas.one.stop()


async def test_an_outage_of_the_database_is_one_line_and_ends_nothing() -> None:
    """The job goes on while its lease cannot be renewed; the next tick tries again."""

    class Away:
        async def begin(self, job: str, **_: object) -> int:
            raise StoreUnavailable(job)

    replicas = Replicas(Away())  # type: ignore[arg-type]
    await replicas.tick(replicas.job())
    assert replicas.events() == ["database.lost", "database.lost"]

"""``make soak``: a month in the life of 100,000 users, and what it does to memory, descriptors, tasks and the database.

The pollers, the evaluator, the courier, the pruning and the database are those of the daemon, in one process; Junction
is a function, and the time of day is simulated: nobody waits for a user's next turn. Everybody is polled once a day,
one in a hundred breaks in each day and heals two days later, and what is older than a week is pruned, so that from the
second week on as much goes as comes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psutil
import structlog

from monitor.app.opening import run_in_loop
from monitor.availability import Availability
from monitor.core.judge import Cadence
from monitor.core.policy import Policy
from monitor.delivery import Courier, Health, Rules
from monitor.evaluator import Evaluator
from monitor.housekeeping import Pruning, Retention
from monitor.job_border import JobBorder
from monitor.poller import Poller, PollerSettings, Target, TargetSettings
from monitor.poller.committer import Committer
from monitor.poller.report import Report
from monitor.ports import ListedUser, Receipt, Reception
from monitor.store import Schema, open_store
from tests.benchmarks.ours import member_ids
from tests.poller.world import FakeJunction, ok

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.ports import Notice, Store

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
HEADING: Final = "## Soak"
TARGET: Final = "bench"
DAY: Final = timedelta(days=1)
STEPS: Final = 24
"""Looks at who is due, a day."""
KEPT: Final = timedelta(days=7)
BREAK: Final = 0.01
"""The share of users that break in a day; they heal two days later."""
WELL, BROKEN = ok(fitbit="connected", oura="connected"), ok(fitbit="error", oura="connected")


@dataclass
class Quiet:
    """Metrics that keep how long commits took, and forget everything else."""

    commits: list[float] = field(default_factory=list)

    def committed(self, seconds: float) -> None:
        """Keep the seconds of one commit."""
        self.commits.append(seconds)

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class Heard:
    """A sink that takes everything, and counts."""

    def __init__(self) -> None:
        self.count = 0

    async def tell(self, notices: Sequence[Notice]) -> list[Receipt]:
        """Take it."""
        self.count += len(notices)
        return [Receipt(reception=Reception.DELIVERED)] * len(notices)

    async def aclose(self) -> None:
        """Close nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What there was at the end of a day."""

    polls_per_second: float
    commit_ms: float
    memory_mib: float
    descriptors: int
    tasks: int
    database_mib: float
    told: int


class Life:
    """One process of the monitor under a simulated time of day."""

    def __init__(self, store: Store, users: Sequence[UUID], file: Path) -> None:
        self._store, self._users, self._file = store, users, file
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._chance = random.Random(1)  # noqa: S311 - the same month in every run
        self._broken: set[UUID] = set()
        self._healing: deque[set[UUID]] = deque()
        self._junction = FakeJunction(script=lambda user: BROKEN if user in self._broken else WELL)
        self._metrics, self._heard = Quiet(), Heard()
        log = structlog.wrap_logger(
            structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        )
        availability = Availability(self._metrics, log)
        cadence = Cadence(interval=DAY, gone_interval=DAY)
        settings = TargetSettings(name=TARGET, max_requests_per_second=1_000_000, cadence=cadence)
        self._poller = Poller(
            targets={TARGET: Target(settings, self._junction, self._metrics, log)},
            polls=store.polls,
            committer=Committer(
                polls=store.polls, metrics=self._metrics, report=Report(self._metrics, log, str), clock=self._clock
            ),
            settings=PollerSettings(concurrency=64, timeout=timedelta(seconds=15)),
            border=JobBorder(availability, self._metrics, log),
            metrics=self._metrics,
            log=log,
            clock=self._clock,
            on_commit=lambda _: None,
        )
        self._evaluator = Evaluator(
            alerts=store.alerts, policy=Policy(), sinks=["log"], metrics=self._metrics, log=log, clock=self._clock
        )
        self._courier = Courier(
            "log",
            self._heard,
            Rules(at_once=200, lease=timedelta(seconds=30)),
            outbox=store.outbox,
            health=Health("log", log),
            metrics=self._metrics,
            border=JobBorder(availability, self._metrics, log),
            log=log,
            clock=self._clock,
        )
        self._pruning = Pruning(
            upkeep=store.upkeep,
            retention=Retention(snapshots=KEPT, transitions=KEPT),
            sinks=["log"],
            log=log,
            clock=self._clock,
            pause=lambda: asyncio.sleep(0),
        )

    def _clock(self) -> datetime:
        return self._now

    async def live(self, days: int) -> list[Day]:
        """Live so many days, and return what each came to."""
        listed = [ListedUser(user_id=each, client_user_id=None) for each in self._users]
        await self._store.cohort.register(TARGET, listed, now=self._now, revive=True)
        running = [asyncio.create_task(self._poller.run()), asyncio.create_task(self._courier.run())]
        lived = []
        for number in range(1, days + 1):
            lived.append(await self._day())
            sys.stderr.write(f"day {number}: {lived[-1]}\n")
        self._poller.stop()
        self._courier.stop()
        await asyncio.gather(*running)
        return lived

    async def _day(self) -> Day:
        began, asked, heard = time.perf_counter(), self._junction.asked.total(), self._heard.count
        self._metrics.commits.clear()
        for _ in range(STEPS):
            self._change()
            self._now += DAY / STEPS
            await self._poll_all()
            await self._evaluator.decide()
            self._courier.tick()
        took = time.perf_counter() - began
        await self._pruning.prune()
        process = psutil.Process()
        return Day(
            polls_per_second=(self._junction.asked.total() - asked) / took,
            commit_ms=1000 * statistics.median(self._metrics.commits),
            memory_mib=process.memory_info().rss / 2**20,
            descriptors=process.num_fds(),
            tasks=len(asyncio.all_tasks()),
            database_mib=sum(each.stat().st_size for each in self._file.parent.glob("*")) / 2**20,
            told=self._heard.count - heard,
        )

    def _change(self) -> None:
        """Break some, and heal those that broke two days ago."""
        some = int(len(self._users) * BREAK / STEPS)
        breaks = set(self._chance.sample(self._users, some)) - self._broken
        self._broken |= breaks
        self._healing.append(breaks)
        if len(self._healing) > 2 * STEPS:
            self._broken -= self._healing.popleft()

    async def _poll_all(self) -> None:
        """Return when nobody is due."""
        idle = 0
        while idle < 2:
            before = self._junction.asked.total()
            self._poller.tick()
            await asyncio.sleep(0.02)
            await self._poller.settled()
            idle = idle + 1 if self._junction.asked.total() == before else 0


async def _soak(users: int, days: int) -> list[Day]:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "soak.db")
        Schema(f"sqlite:///{file}").upgrade()
        store = open_store(f"sqlite:///{file}")
        try:
            return await Life(store, [UUID(each) for each in member_ids(users)], file).live(days)
        finally:
            await store.aclose()


def section(lived: Sequence[Day], users: int) -> str:
    """Return the figures as a section of RESULTS.md."""
    rows = [
        f"| {number} | {each.polls_per_second:,.0f} | {each.commit_ms:.0f} ms | {each.memory_mib:.0f} MiB "
        f"| {each.descriptors} | {each.tasks} | {each.database_mib:.0f} MiB | {each.told:,} |"
        for number, each in enumerate(lived, 1)
        if number in {1, 2, 7, 8, 14, 15, 21, len(lived)}
    ]
    head = ("day", "polls/s", "commit", "memory", "descriptors", "tasks", "database", "notices")
    about = (
        f"Made by `make soak`: {len(lived)} simulated days of {users:,} users on SQLite (fsync on), each polled once"
        f" a day, {BREAK:.0%} of them breaking in a day and healing two days later; what is older than {KEPT.days} days"
        " is pruned. Pollers, evaluator, courier, pruning and database are the daemon's; Junction is a function in this"
        " process, and only the time of day is simulated. Goal: nothing grows after the second week."
    )
    half, end = lived[len(lived) // 2 - 1], lived[-1]
    grew = (
        f"In the second half memory grew by {end.memory_mib / half.memory_mib - 1:.1%} and the database by"
        f" {end.database_mib / half.database_mib - 1:.1%}."
    )
    lines = (head, ("---",) * len(head))
    return "\n".join([HEADING, "", about, "", *(f"| {' | '.join(each)} |" for each in lines), *rows, "", grew, ""])


def kept(results: str) -> str:
    """Return the section of the last soak in ``results``, empty where there is none."""
    return results[results.index(HEADING) :] if HEADING in results else ""


def main() -> None:
    """Soak, and in the full form keep the figures."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    text = section(run_in_loop(_soak(given.users, given.days)), given.users)
    results = RESULTS.read_text()
    RESULTS.write_text(results.removesuffix(kept(results)).rstrip() + "\n\n" + text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

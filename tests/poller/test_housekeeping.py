"""What keeps the house: within the rate, in small batches, and never a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from structlog.testing import LogCapture

from monitor.core.budget import Pace
from monitor.errors import StoreUnavailable
from monitor.housekeeping import Pruning, Retention, TargetJobs
from monitor.pacing import Pacer
from monitor.ports import Answer, ListedUser, UserPage
from monitor.store.memory import MemoryStore
from tests.poller.rig import TARGET, user
from tests.poller.world import REJECTED, FakeJunction
from tests.store.contract_stage import ANN, Stage, broken, connected


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


class House:
    """The jobs of one target."""

    def __init__(self, *pages: UserPage | Answer, rate: float = 1000) -> None:
        self.store = MemoryStore()
        self.logs = LogCapture()
        self.junction = FakeJunction(pages=list(pages))
        self.log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])
        self.jobs = TargetJobs(
            target=TARGET,
            junction=self.junction,
            pacer=Pacer(TARGET, rate=rate, polls=self.store.polls, clock=now),
            cohort=self.store.cohort,
            upkeep=self.store.upkeep,
            log=self.log,
            clock=now,
        )


def page(*numbers: int) -> UserPage:
    """Return a page that lists these users, and no others are stated."""
    listed = tuple(ListedUser(user_id=user(each), client_user_id=None) for each in numbers)
    return UserPage(users=listed, total=len(numbers))


async def test_discovery_registers_and_says_so() -> None:
    """One line with what came of it."""
    house = House(page(1, 2, 3))
    assert await house.jobs.discover()
    (line,) = house.logs.entries
    assert (line["event"], line["listed"], line["added"]) == ("discovery.finished", 3, 3)


async def test_discovery_that_fails_says_why_and_is_not_done() -> None:
    """It is tried again soon."""
    house = House(REJECTED)
    assert not await house.jobs.discover()
    assert house.logs.entries[0]["event"] == "discovery.failed"
    assert "401" in house.logs.entries[0]["reason"]


async def test_discovery_waits_for_its_turn() -> None:
    """It asks within the rate that polls have too: with the second's worth spent, it waits for the next."""
    house = House(page(1), rate=4)
    await house.store.polls.spend(TARGET, 4, now=now(), pace=Pace(rate=4))
    began = now()
    assert await house.jobs.discover()
    assert now() - began >= timedelta(seconds=0.2)


async def test_the_vendor_s_total_is_kept() -> None:
    """For every replica to show."""
    house = House()

    async def errored_connections() -> int | None:
        return 7

    house.junction.errored_connections = errored_connections  # type: ignore[method-assign]
    assert await house.jobs.cross_check()
    assert await house.store.views.reported(since=now() - timedelta(minutes=1)) == {TARGET: 7}


async def test_a_database_that_is_away_is_no_crash_of_discovery() -> None:
    """The job says that it was not done."""
    house = House(page(1))

    async def register(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    house.store.cohort.register = register  # type: ignore[method-assign, assignment]
    assert not await house.jobs.discover()
    assert house.logs.entries[0]["reason"] == "away"


async def test_pruning_deletes_by_age_and_says_how_much() -> None:
    """Snapshots and transitions each by their own age, with a pause after each batch."""
    store, logs, pauses = MemoryStore(), LogCapture(), list[None]()
    stage = Stage(store)
    await stage.register(ANN)
    for rows in (connected(), broken(), connected()):
        await stage.see(ANN, rows)
    await stage.decide()
    await stage.deliver()

    async def pause() -> None:
        pauses.append(None)

    pruning = Pruning(
        upkeep=store.upkeep,
        retention=Retention(snapshots=timedelta(days=1), transitions=timedelta(days=2)),
        log=structlog.wrap_logger(structlog.PrintLogger(), processors=[logs]),
        clock=lambda: stage.now + timedelta(days=1, hours=12),
        pause=pause,
    )
    assert await pruning.prune()
    stage.later(days=1)
    assert await pruning.prune()
    told = [{name: each[name] for name in ("snapshots", "transitions", "alerts")} for each in logs.entries]
    assert told == [
        {"snapshots": 2, "transitions": 0, "alerts": 0},
        {"snapshots": 0, "transitions": 2, "alerts": 3},
    ]
    assert len(pauses) >= len(told)
    await asyncio.sleep(0)

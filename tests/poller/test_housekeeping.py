"""What keeps the house: within the rate, in small batches, and never a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from structlog.testing import LogCapture

from monitor.core.budget import Pace
from monitor.core.model import Outcome
from monitor.core.target_health import PollAnswer
from monitor.errors import StoreUnavailable
from monitor.housekeeping import Pruning, Retention, TargetJobs
from monitor.pacing import Pacer
from monitor.ports import Answer, ListedUser, UserPage
from monitor.store.memory import MemoryStore
from tests.poller.rig import TARGET, user
from tests.poller.world import REJECTED, FakeJunction
from tests.store.contract_stage import ANN, Stage, broken, connected
from tests.store.telling import Teller


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
            views=self.store.views,
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


async def test_the_user_list_tells_who_of_many_missing_users_was_deleted() -> None:
    """While many users are answered 404, and only then: who is not listed is gone with the next 404."""
    house = House(page(1, 2))
    stage = Stage(house.store)
    await stage.register(*map(user, range(1, 9)), target=TARGET)
    assert await house.jobs.check_absences()
    assert house.junction.pages
    answers = [
        PollAnswer(key=key, outcome=Outcome.GONE, code="404", asked_at=now(), at=now()) for key in (4, 5, 6, 7, 8)
    ]
    since = now() - timedelta(minutes=15)
    await house.store.polls.assess(TARGET, answers, since=since, now=now(), pace=Pace(rate=10))
    assert await house.jobs.check_absences()
    assert not house.junction.pages


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


async def test_pruning_gives_up_notifications_for_a_sink_that_is_not_configured() -> None:
    """After three days, with one line; those for a configured sink wait on."""
    teller, logs = Teller(), LogCapture()
    for number in range(3):
        await teller.tell(number, sinks=["pager", "removed"])
    pruning = Pruning(
        upkeep=teller.store.upkeep,
        retention=Retention(snapshots=timedelta(days=1), transitions=timedelta(days=2)),
        sinks=["log", "pager"],
        log=structlog.wrap_logger(structlog.PrintLogger(), processors=[logs]),
        clock=teller.clock,
        pause=partial(asyncio.sleep, 0),
    )
    teller.later(days=3)
    await pruning.prune()
    assert await teller.store.outbox.undelivered() == {"pager": 3, "removed": 3}
    teller.later(seconds=1)
    await pruning.prune()
    assert await teller.store.outbox.undelivered() == {"pager": 3, "removed": 0}
    (line,) = (each for each in logs.entries if each["event"] == "sink.gave_up")
    assert (line["sink"], line["notifications"], line["reason"]) == ("removed", 3, "not configured")


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
        sinks=["log"],
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

"""The load that cadence and budget make together, over simulated hours: even, and without a herd."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.core.budget import NEW, Pace
from monitor.core.cadence import backoff, next_due, stretched
from tests.core.samples import NOON

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = timedelta(minutes=15)
USERS = 3_000
NEEDED = USERS / INTERVAL.total_seconds()
SECOND = timedelta(seconds=1)


def cohort(count: int = USERS) -> list[UUID]:
    """Return users with random ids, always the same."""
    chance = random.Random(1)  # noqa: S311 - ids, not secrets
    return [UUID(int=chance.getrandbits(128), version=4) for _ in range(count)]


@dataclass
class Simulation:
    """Claims and polls second by second, as many as the budget allows, oldest due first."""

    rate: float
    interval: timedelta = INTERVAL
    fails: Callable[[datetime], bool] = lambda _: False
    now: datetime = NOON
    polls: list[tuple[datetime, UUID]] = field(default_factory=list)
    due: list[tuple[datetime, UUID]] = field(default_factory=list)
    failures: Counter[UUID] = field(default_factory=Counter)

    def register(self, users: list[UUID]) -> None:
        """Let users be due at once."""
        for each in users:
            heapq.heappush(self.due, (self.now, each))

    def run(self, lasts: timedelta) -> None:
        """Let time go by."""
        budget, until = NEW, self.now + lasts
        while self.now < until:
            self.now += SECOND
            budget = Pace(rate=self.rate).applied(budget)
            allowed, done = budget.allows(10_000, self.now), 0
            while done < allowed and self.due and self.due[0][0] <= self.now:
                self._poll(heapq.heappop(self.due)[1])
                done += 1
            budget = budget.spend(done, self.now)

    def _poll(self, user: UUID) -> None:
        self.polls.append((self.now, user))
        if self.fails(self.now):
            self.failures[user] += 1
            due = self.now + backoff(user, self.failures[user], self.interval)
        else:
            self.failures[user] = 0
            due = next_due(user, self.interval, self.now)
        heapq.heappush(self.due, (due, user))

    def load(self, since: datetime, lasts: timedelta, step: float = 30) -> list[float]:
        """Return the polls per second in each step of a stretch of time."""
        cells = [0] * int(lasts.total_seconds() / step)
        for at, _ in self.polls:
            place = int((at - since).total_seconds() // step)
            if 0 <= place < len(cells):
                cells[place] += 1
        return [each / step for each in cells]


def assert_even(load: list[float]) -> None:
    """Each stretch of half a minute is near what is needed: within five standard deviations of a fair draw."""
    spread = 5 * (NEEDED * 30) ** 0.5 / 30
    assert all(abs(each - NEEDED) < spread for each in load), load


def test_an_import_is_worked_off_within_the_rate_and_then_even() -> None:
    """New users are due at once; from the second interval on each has its place."""
    run = Simulation(rate=50)
    run.register(cohort())
    run.run(3 * INTERVAL)
    assert max(run.load(NOON, INTERVAL, step=1)) <= 50
    assert_even(run.load(NOON + INTERVAL, INTERVAL))


def test_a_restart_after_ten_minutes_is_no_herd() -> None:
    """What was missed is worked off within the rate, oldest first, and the interval after is as even as before."""
    run = Simulation(rate=20)
    run.register(cohort())
    run.run(2 * INTERVAL)
    before, run.now = run.now, run.now + timedelta(minutes=10)
    waiting = {user: due for due, user in run.due}
    run.run(2 * INTERVAL)
    since = before + timedelta(minutes=10)
    assert max(run.load(since, INTERVAL, step=1)) <= 20
    served = [waiting[user] for at, user in run.polls if since < at <= since + timedelta(seconds=60)]
    assert served == sorted(served)
    assert_even(run.load(since + INTERVAL, INTERVAL))


def test_an_outage_of_the_vendor_is_followed_by_no_herd() -> None:
    """Ten minutes of errors: users come back from their back-off within the rate, and to their places."""
    began, ended = NOON + 2 * INTERVAL, NOON + 2 * INTERVAL + timedelta(minutes=10)
    run = Simulation(rate=20, fails=lambda now: began <= now < ended)
    run.register(cohort())
    run.run(5 * INTERVAL)
    assert max(run.load(ended, INTERVAL, step=1)) <= 20
    assert_even(run.load(ended + INTERVAL, INTERVAL))
    last = {user: at for at, user in run.polls if at >= ended}
    assert len(last) == USERS


def test_where_the_rate_is_too_low_everyone_is_later_and_nobody_is_never() -> None:
    """With a third of the rate that is needed all are polled equally often."""
    rate = NEEDED / 3
    longer = stretched(INTERVAL, USERS, rate)
    run = Simulation(rate=rate, interval=longer)
    run.register(cohort())
    run.run(6 * longer)
    often = Counter(user for at, user in run.polls if at > NOON + 2 * longer)
    assert set(often) == set(cohort())
    assert set(often.values()) <= {3, 4, 5}

"""Four real daemons on one real PostgreSQL, killed, frozen and joined by others at random, against the ledger."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from monitor.cli.demo import verdict
from tests.chaos.scale import scaled
from tests.e2e.processes import await_all_told, findings, stand

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.e2e.processes import Stand

REPLICAS: Final = 4
MOST: Final = 6
INTERVAL: Final = timedelta(seconds=2)
LEASE: Final = timedelta(seconds=11)
"""``poll.timeout``, here 1 s, and 10 s."""
CHAOS: Final = float(scaled(60, 1800))
SCENARIO: Final = {
    "users": 80,
    "seed": 23,
    "changes": {"per_second": 4, "from": 1, "rest": 1},
    # Overlaps of two polls of one user show only where answers take time.
    "timeline": [{"at": 0, "do": "fault", "fault": "latency", "delay": "150ms"}],
}
WAITING: Final = """
    SELECT max(now() - greatest(next_poll_at, leased_until)) FROM users
    WHERE intent = 'active' AND presence <> 'invalid'
"""


@dataclass
class Fleet:
    """The daemons: those that run, and those that are frozen with the time to wake them."""

    stage: Stand
    stack: ExitStack
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    frozen: list[tuple[float, subprocess.Popen[str]]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Add a daemon."""
        log = self.stage.cwd / f"daemon-{len(self.logs)}.log"
        self.logs.append(log)
        self.running.append(self.stack.enter_context(self.stage.daemon(log.name)))

    def kill(self, chance: random.Random) -> None:
        """Kill one, and start another in its place."""
        self._pick(chance).kill()
        self.start()

    def freeze(self, chance: random.Random) -> None:
        """Stop one in the middle of whatever it does, until after its leases have passed."""
        picked = self._pick(chance)
        picked.send_signal(signal.SIGSTOP)
        self.frozen.append((time.monotonic() + LEASE.total_seconds() + chance.uniform(0.5, 3), picked))

    def wake(self, now: float) -> None:
        """Let those go on whose time has come."""
        for due, each in list(self.frozen):
            if due <= now:
                each.send_signal(signal.SIGCONT)
                self.frozen.remove((due, each))
                self.running.append(each)

    def step(self, chance: random.Random) -> None:
        """Do one thing to the fleet."""
        ways = ["kill", "freeze"] if len(self.running) >= MOST else ["kill", "kill", "freeze", "start"]
        way = chance.choice(ways) if len(self.running) > 2 else "start"
        self.done.append(way)
        if way == "start":
            self.start()
        else:
            getattr(self, way)(chance)

    def _pick(self, chance: random.Random) -> subprocess.Popen[str]:
        return self.running.pop(chance.randrange(len(self.running)))


def longest_wait(watch: psycopg.Connection[tuple[timedelta]]) -> timedelta:
    """Return for how long the user that waits longest could have been claimed."""
    row = watch.execute(WAITING).fetchone()
    return max(row[0], timedelta(0)) if row else timedelta(0)


def rage(fleet: Fleet, database: str) -> timedelta:
    """Do things to the fleet for two minutes; return the longest that any user was due and free."""
    chance = random.Random(7)  # noqa: S311 - the same choices in every run
    worst, until, next_at = timedelta(0), time.monotonic() + CHAOS, time.monotonic() + 2
    with psycopg.connect(database, autocommit=True) as watch:
        while (now := time.monotonic()) < until:
            fleet.wake(now)
            if now >= next_at:
                fleet.step(chance)
                next_at = now + chance.uniform(1, 4)
            worst = max(worst, longest_wait(watch))
            time.sleep(0.1)
    return worst


def settle(fleet: Fleet) -> None:
    """Wake everybody, let the world stand still, have it seen as it is, and stop all; each must drain and exit 0."""
    fleet.wake(float("inf"))
    fleet.stage.control("freeze")
    asyncio.run(verdict.last_round(fleet.stage.database))
    await_all_told(fleet.stage.database)
    for each in fleet.running:
        each.send_signal(signal.SIGTERM)
    assert [each.wait(30) for each in fleet.running] == [0] * len(fleet.running)


@pytest.mark.chaos
@pytest.mark.timeout(scaled(400, 7200))
def test_replicas_that_die_and_sleep_lose_nothing_and_do_nothing_twice(postgres_url: str, tmp_path: Path) -> None:
    """No user is polled by two at once, none waits longer than a lease and an interval, and every change is found."""
    settings = {"POLL__INTERVAL": f"{INTERVAL.total_seconds():g}s"}
    with stand(tmp_path, postgres_url, SCENARIO, **settings) as stage, ExitStack() as stack:
        fleet = Fleet(stage=stage, stack=stack)
        for _ in range(REPLICAS):
            fleet.start()
        worst = rage(fleet, postgres_url)
        settle(fleet)
        stats, found = stage.stats(), findings(stage)
    found.assert_told(fleet.logs)
    found.assert_exact()
    assert found.tally.found > 100
    assert {"kill", "freeze", "start"} == set(fleet.done)
    assert stats["most_in_flight_for_one_user"] == 1
    assert worst <= LEASE + INTERVAL

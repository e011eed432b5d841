"""A daemon that works, meets trouble, and must have lost nothing when it is over."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor import events
from monitor.cli.demo import verdict
from tests.e2e.oncall import free_port
from tests.e2e.processes import await_all_told, findings, process, stand
from tests.e2e.test_log_blocked import metric, until
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.processes import Stand

WORLD: Final = {"users": 40, "seed": 13, "changes": {"per_second": 6, "from": 2, "rest": 1}}
POLLS: Final = "junction_monitor_polls_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubled:
    """A daemon in the middle of its work."""

    stage: Stand
    daemon: subprocess.Popen[str]
    port: int
    log: Path

    def polls(self) -> float:
        """Return how many polls were committed, 0 where metrics cannot be read."""
        return metric(self.port, POLLS)

    def works(self) -> None:
        """Return once some more polls were committed."""
        before = self.polls()
        until(lambda: self.polls() > before + 40)

    def events(self) -> list[str]:
        """Return the names of all events that were logged, in order."""
        return [str(json.loads(line)["event"]) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def told(self, event: str, within: float = 30) -> None:
        """Return once an event was logged."""
        until(lambda: event in self.events(), within)


@contextmanager
def troubled(cwd: Path, database: str, *, more: Mapping[str, str] | None = None, **settings: str) -> Iterator[Troubled]:
    """Give a daemon that works; after the block it must work again, and have lost, invented and repeated nothing.

    ``more`` is what its environment has beside everybody's.
    """
    port, log = free_port(), cwd / "daemon.log"
    with stand(cwd, database, WORLD, **settings) as stage:
        environ = {**stage.environ, "MONITOR_HTTP__PORT": str(port), **(more or {})}
        with process("run", cwd=cwd, environ=environ, log=log) as daemon:
            started(log)
            world = Troubled(stage=stage, daemon=daemon, port=port, log=log)
            world.works()
            yield world
            world.works()
            stage.control("freeze")
            for _ in range(3):  # everybody in each second, whatever times say
                world.works()
            asyncio.run(verdict.last_round(database))
            await_all_told(database)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
        found = findings(stage)
    found.assert_exact()
    found.assert_told([log])
    assert found.tally.found > 5


def lost_and_recovered(world: Troubled) -> None:
    """The outage was told once when it began and once when it was over."""
    world.told(events.DATABASE_RECOVERED)
    said = [each for each in world.events() if each in {events.DATABASE_LOST, events.DATABASE_RECOVERED}]
    assert said[:2] == [events.DATABASE_LOST, events.DATABASE_RECOVERED]


def for_a_while(seconds: float) -> None:
    """Let trouble last."""
    time.sleep(seconds)


def lines(log: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of one event."""
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [each for each in found if each["event"] == event]

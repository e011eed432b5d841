"""The simulated Junction, put together."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from monitor.simulator.api import Api
from monitor.simulator.backstage import PREFIX, Backstage
from monitor.simulator.course import Course
from monitor.simulator.faults import Faults
from monitor.simulator.population import Shares
from monitor.simulator.protocol import HttpConnection
from monitor.simulator.scenario import Scenario
from monitor.simulator.traffic import Traffic
from monitor.simulator.world import World, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.simulator.ledger import Ledger
    from monitor.simulator.wire import Reply, Request

_TICK: Final = 0.02
"""Seconds between two looks at the course."""


class Simulator:
    """A Junction with its own world, on a TCP port.

    ``clock`` gives the times that the world writes; ``timer`` (seconds, monotonic) moves its course and ends
    faults.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self.scenario = scenario = scenario or Scenario()
        self.world = World(
            seed=scenario.seed,
            users=scenario.users,
            shares=Shares(**scenario.initial.model_dump()),
            error_types=scenario.changes.error_types,
            clock=clock,
        )
        self.faults = Faults(seed=scenario.seed, timer=timer, clock=clock, user_id=self.world.users.id_at)
        self.course = Course(scenario, self.world, self.faults)
        self.traffic = Traffic()
        self._timer = timer
        self._api = Api(world=self.world, faults=self.faults, api_key=scenario.api_key)
        self._backstage = Backstage(self, scenario.seed)
        self._connections: set[HttpConnection] = set()
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._resumed_at: float | None = None
        self._elapsed = 0.0

    @property
    def ledger(self) -> Ledger:
        """Every change that was made."""
        return self.world.ledger

    @property
    def elapsed(self) -> float:
        """Seconds that the course has run, frozen ones left out."""
        running = 0.0 if self._resumed_at is None else self._timer() - self._resumed_at
        return self._elapsed + running

    @property
    def frozen(self) -> bool:
        """Whether the course stands still."""
        return self._resumed_at is None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and let the course begin; returns the port, which is chosen freely where ``port`` is 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, backlog=4096)
        self.thaw()
        self._ticking = asyncio.create_task(self._tick(), name="simulator-course")
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection, answered or not."""
        self.freeze()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*(connection.abort() for connection in tuple(self._connections)))
            await self._server.wait_closed()

    def freeze(self) -> None:
        """Let nothing happen by itself any more; faults in force run out as announced."""
        if self._resumed_at is not None:
            self.course.advance(self.elapsed)
            self._elapsed = self.elapsed
            self._resumed_at = None

    def thaw(self) -> None:
        """Let the course go on from where it stood."""
        if self._resumed_at is None:
            self._resumed_at = self._timer()

    def _accept(self) -> HttpConnection:
        return HttpConnection(self._respond, self.traffic, self._connections)

    def _respond(self, request: Request) -> Reply:
        if request.path.startswith(PREFIX):
            return self._backstage.respond(request)
        return self._api.respond(request)

    async def _tick(self) -> None:
        while not self.course.finished:
            if not self.frozen:
                self.course.advance(self.elapsed)
            await asyncio.sleep(_TICK)


async def serve(
    *,
    scenario: Scenario,
    host: str,
    port: int,
    on_ready: Callable[[int], None] | None = None,
    until: asyncio.Event | None = None,
) -> None:
    """Run a simulated Junction until ``until`` is set, or for ever; ``on_ready`` hears the port."""
    simulator = Simulator(scenario)
    bound = await simulator.start(host, port)
    try:
        if on_ready is not None:
            on_ready(bound)
        await (until or asyncio.Event()).wait()
    finally:
        await simulator.stop()

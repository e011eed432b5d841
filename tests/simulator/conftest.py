from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.simulator import Scenario, Simulator, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "sk_us_simulated"
UNUSED_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Empty: loading the machine's certificates for every client takes longer than the tests."""


class Clock:
    """A wall clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 9, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)


class Served:
    """A running simulator and a client that holds the key."""

    def __init__(self, simulator: Simulator, client: httpx.AsyncClient, port: int) -> None:
        self.simulator = simulator
        self.client = client
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def user_id(self, index: int = 0) -> str:
        """Return the id of the user number ``index``."""
        return self.simulator.world.users.id_at(index)

    async def poll(self, index: int = 0) -> httpx.Response:
        """Ask for the connections of the user number ``index``."""
        return await self.client.get(f"/v2/user/providers/{self.user_id(index)}")


@asynccontextmanager
async def serving(scenario: Scenario) -> AsyncIterator[Served]:
    """Run a simulator of ``scenario`` on a free port."""
    simulator = Simulator(scenario)
    port = await simulator.start()
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"x-vital-api-key": KEY}, timeout=5, verify=UNUSED_TLS
        ) as client:
            yield Served(simulator, client, port)
    finally:
        await simulator.stop()


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    """Give a small world on that clock."""
    return World(seed=1, users=50, clock=clock)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Give a running simulator of forty users in which nothing happens by itself."""
    async with serving(Scenario(users=40)) as running:
        yield running

"""The clients the monitor is held against, each asking as fast as it can for a while.

Run as a process of its own: ``python -m tests.benchmarks.rivals NAME PORT IN_FLIGHT SECONDS`` prints requests/s.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from typing import TYPE_CHECKING

import httpx
import httpx_aiohttp
import uvloop
from junction import AsyncJunction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def bare_httpx(base_url: str, in_flight: int, seconds: float) -> float:
    """One ``httpx.AsyncClient`` with one pool, and nothing else."""
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    headers = {"x-vital-api-key": "sk_us_bench"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits) as client:

        async def ask(user_id: str) -> object:
            return (await client.get(f"/v2/user/providers/{user_id}")).json()

        return await _rate(ask, in_flight, seconds)


async def sdk_over_aiohttp(base_url: str, in_flight: int, seconds: float) -> float:
    """The vendor's own SDK, asynchronous, over the fastest transport that it can be given."""
    async with httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport()) as http:
        client = AsyncJunction(base_url=base_url, api_key="sk_us_bench", httpx_client=http)

        async def ask(user_id: str) -> object:
            return await client.user.get_connected_providers(user_id)

        return await _rate(ask, in_flight, seconds)


async def _rate(ask: Callable[[str], Awaitable[object]], in_flight: int, seconds: float) -> float:
    done = 0
    warm_until = time.perf_counter() + seconds / 5
    until = warm_until + seconds

    async def worker() -> None:
        nonlocal done
        user_id = str(uuid.uuid4())
        while (now := time.perf_counter()) < until:
            await ask(user_id)
            done += now >= warm_until

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done / seconds


RIVALS = {"httpx": bare_httpx, "sdk": sdk_over_aiohttp}


def main() -> None:
    """Measure one rival."""
    name, port, in_flight, seconds = sys.argv[1:]
    rate = uvloop.run(RIVALS[name](f"http://127.0.0.1:{port}", int(in_flight), float(seconds)))
    sys.stdout.write(f"{rate:.1f}\n")


if __name__ == "__main__":
    main()

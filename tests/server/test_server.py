from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.errors import REACH, MonitorError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server.world import World


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a running server."""
    async with (
        world.serving() as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        yield http


async def test_metrics_are_rendered_as_asked(client: httpx.AsyncClient) -> None:
    """The format follows Accept."""
    answer = await client.get("/metrics", headers={"accept": "text/plain"})
    assert (answer.status_code, answer.text) == (200, "# text/plain\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/metrics"), ("GET", "/metrics/x"), ("GET", "/%2e%2e/etc")]
)
async def test_anything_else_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    """There is nothing else."""
    assert (await client.request(method, path)).status_code == 404


async def test_a_living_process_is_healthy(client: httpx.AsyncClient, world: World) -> None:
    """Health follows the loop and the scheduler."""
    assert (await client.get("/healthz")).status_code == 200
    world.failing.append("scheduler")
    assert (await client.get("/healthz")).json() == {"alive": False, "failing": ["scheduler"]}


async def test_a_process_without_its_database_is_not_ready(client: httpx.AsyncClient, world: World) -> None:
    """The body names what fails, and health is not touched."""
    world.error = StoreUnavailable("connection refused")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "failing": {"database": f"connection refused; {REACH}"}}
    assert (await client.get("/healthz")).status_code == 200


async def test_a_process_whose_work_fails_is_not_ready(client: httpx.AsyncClient, world: World) -> None:
    """Though the database answers: the body names the jobs, and health is not touched."""
    world.unready["evaluate"] = "crashed: ZeroDivisionError"
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "failing": {"evaluate": "crashed: ZeroDivisionError"}}
    assert (await client.get("/healthz")).status_code == 200


async def test_everything_that_fails_is_named_at_once(client: httpx.AsyncClient, world: World) -> None:
    """The database and what follows from it."""
    world.error, world.unready["commit"] = StoreUnavailable("read-only"), "read-only"
    assert (await client.get("/readyz")).json()["failing"].keys() == {"database", "commit"}


async def test_a_ready_process_says_so(client: httpx.AsyncClient) -> None:
    """The database answers at the expected schema."""
    assert json.loads((await client.get("/readyz")).content)["ready"] is True


async def test_an_address_in_use_is_one_clear_line(world: World) -> None:
    """It names the address and the keys."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MonitorError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(http\.host, http\.port\)"):
            await world.server(port).start()


@pytest.mark.parametrize("host", ["::", "::0"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_every_address_of_ipv6_is_every_address(world: World, host: str, address: str) -> None:
    """Probes and Prometheus come over IPv4, too."""
    url_host = f"[{address}]" if ":" in address else address
    async with world.serving(host=host) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://{url_host}:{port}/healthz")).status_code == 200


async def test_one_address_of_ipv6_is_that_address_alone(world: World) -> None:
    """Loopback of IPv6 is not that of IPv4."""
    async with world.serving(host="::1") as port:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_slow_client_does_not_hold_up_the_end(world: World) -> None:
    """Whoever sends half a request is not waited for."""
    server = world.server()
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n")
    await writer.drain()
    async with asyncio.timeout(6):
        await server.stop()
    writer.close()

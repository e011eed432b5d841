"""Clients that are slow, many, or mean harm: others are served, and nothing grows."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.server import protocol
from tests.server.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HOSTILE = [
    "/metrics/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/metrics%00",
    "/metrics%0d%0aset-cookie:%20a=b",
    "//metrics",
    "/METRICS",
    "/readyz;x",
    "/" + "a" * 10_000,
    "/<script>alert(1)</script>",
    "/${jndi:ldap://127.0.0.1/a}",
]


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server's patience short."""
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.3)
    monkeypatch.setattr(protocol, "ANSWER_WITHIN", 0.3)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Give a raw connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ended(reader: asyncio.StreamReader, within: float = 5) -> bytes:
    """Return all that comes until the server hangs up."""
    got = bytearray()
    async with asyncio.timeout(within):
        with suppress(ConnectionResetError):
            while some := await reader.read(1 << 16):
                got += some
    return bytes(got)


async def is_served(port: int) -> bool:
    """Return whether an honest client is answered."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        return (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_path_is_not_found(world: World, path: str) -> None:
    """It is compared, never opened, and not repeated."""
    async with world.serving() as port, connected(port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert answer.endswith(b"\r\n\r\nnot found\n")


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /metrics HTTP/1.1\r\nx: " + b"a" * 200_000,
        b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 30_000,
        b"GET /" + b"a" * 200_000,
        b"\x16\x03\x01" + bytes(500) + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(world: World, flood: bytes) -> None:
    """An endless head, another protocol, lengths that contradict each other: 400 or 501, and the end."""
    async with world.serving() as port, connected(port) as (reader, writer):
        writer.write(flood)
        assert (await reader.read(13)).startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
        await ended(reader)
        assert await is_served(port)


@pytest.mark.usefixtures("hurry")
async def test_a_body_is_not_kept(world: World) -> None:
    """Somebody who posts for ever is cut off; nothing of it is read."""
    async with world.serving() as port, connected(port) as (reader, writer):
        writer.write(b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n" + b"a" * 100_000)
        assert (await ended(reader)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.usefixtures("hurry")
async def test_who_never_asks_is_cut_off(world: World) -> None:
    """Also one who sends a byte now and then."""
    async with world.serving() as port, connected(port) as (reader, writer):
        cut = asyncio.create_task(ended(reader))
        for each in b"GET /metr":
            writer.write(bytes([each]))
            await asyncio.sleep(0.02)
        assert await cut == b""


@pytest.mark.usefixtures("hurry")
async def test_who_asks_again_half_way_is_cut_off(world: World) -> None:
    """A good request buys no endless second one."""
    async with world.serving() as port, connected(port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /he")
        assert (await ended(reader)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("hurry")
async def test_who_does_not_take_the_answer_is_cut_off(world: World) -> None:
    """A large page is not kept for a client that reads nothing."""
    world.page._size = 50_000_000
    async with world.serving() as port, connected(port) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(1.5)
        assert len(await ended(reader)) < 50_000_000


async def test_a_crowd_that_only_holds_connections_locks_nobody_out(world: World) -> None:
    """Whoever has been waited for longest makes room."""
    async with world.serving() as port:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * protocol.CONNECTIONS)]
        assert await is_served(port)
        dropped = [reader for reader, _ in crowd[: protocol.CONNECTIONS]]
        assert [await ended(each) for each in dropped] == [b""] * len(dropped)
        for _, writer in crowd:
            writer.transport.abort()


@pytest.fixture(scope="module")
def served() -> Iterator[int]:
    """Give the port of a server in a thread of its own."""
    started: Future[int] = Future()
    over = threading.Event()

    async def serve() -> None:
        async with World().serving() as port:
            started.set_result(port)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield started.result(10)
    over.set()
    thread.join()


@given(junk=st.lists(st.binary(max_size=200), max_size=5), prefix=st.sampled_from([b"", b"GET /metrics HTTP/1.1\r\n"]))
@settings(max_examples=100, deadline=None)
def test_no_bytes_stop_the_server(served: int, junk: list[bytes], prefix: bytes) -> None:
    """Whatever comes, the next one is served."""
    with socket.create_connection(("127.0.0.1", served)) as raw, suppress(OSError):
        raw.sendall(prefix)
        for each in junk:
            raw.sendall(each)
        raw.shutdown(socket.SHUT_WR)
    assert httpx.get(f"http://127.0.0.1:{served}/healthz", trust_env=False, timeout=5).is_success

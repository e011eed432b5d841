"""TLS handshakes are bounded in number and time: silent clients take no descriptor from the rest of the process."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.server import Certificate, listener
from tests.server.test_hostile import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.server.world import World

SILENT = 300


@contextmanager
def silent(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold connections that never say anything."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(count)]


def status(port: int, certificate: Path | None) -> int:
    """Return what an honest client is answered, under TLS where there is a certificate."""
    if certificate is None:
        return httpx.get(f"http://localhost:{port}/healthz", trust_env=False, timeout=5).status_code
    trust = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    return httpx.get(f"https://localhost:{port}/healthz", verify=trust, trust_env=False, timeout=5).status_code


@asynccontextmanager
async def serving(world: World, certificate: Path) -> AsyncIterator[int]:
    """Serve under a certificate."""
    async with world.serving(certificate=Certificate(certificate.with_suffix(".crt"), certificate)) as port:
        yield port


@pytest.mark.parametrize("tls", [True, False])
def test_three_hundred_silent_clients_take_no_descriptor_from_the_rest(certificate: Path, tls: bool) -> None:
    """In a process that may have 128 of them, an honest client is answered and files can still be opened."""
    shown = certificate if tls else None
    command = [sys.executable, "-m", "tests.server.limited", *([str(shown)] if shown else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with silent(port, SILENT):
            answers = [status(port, shown) for _ in range(5)]
        process.stdin.close()
        refused = int(process.stdout.readline())
    assert (answers, refused, process.returncode) == ([200] * 5, 0, 0)


async def test_a_client_that_says_nothing_is_cut_off(
    world: World, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handshake has a few seconds."""
    monkeypatch.setattr(listener, "HANDSHAKE_WITHIN", 0.3)
    async with serving(world, certificate) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ended(reader, within=3) == b""
        writer.transport.abort()


async def test_the_oldest_handshake_makes_room(world: World, certificate: Path) -> None:
    """Those over the limit are cut off at once, and the youngest are not."""
    async with serving(world, certificate) as port:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(listener.HANDSHAKES + 3)]
        assert [await ended(reader, within=1) for reader, _ in crowd[:3]] == [b""] * 3
        with pytest.raises(TimeoutError):
            await ended(crowd[3][0], within=0.2)
        for _, writer in crowd:
            writer.transport.abort()


async def test_what_a_client_sends_at_once_is_part_of_its_handshake(world: World, certificate: Path) -> None:
    """Nothing is lost between the connection and the beginning of the handshake."""
    async with serving(world, certificate) as port:
        answers = await asyncio.gather(*(asyncio.to_thread(status, port, certificate) for _ in range(20)))
    assert answers == [200] * 20


async def test_a_server_that_stops_does_not_wait_for_handshakes(world: World, certificate: Path) -> None:
    """They are broken off."""
    loop = asyncio.get_running_loop()
    async with serving(world, certificate) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        began = loop.time()
    assert loop.time() - began < 2
    assert await ended(reader, within=1) == b""
    writer.transport.abort()

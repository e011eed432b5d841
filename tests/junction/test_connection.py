"""Connections under the client: when they are used again, when not, and what their end means."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from monitor import transport
from monitor.core.model import Outcome
from tests.junction.clients import USER, client
from tests.junction.raw_server import ok, saying, serving

if TYPE_CHECKING:
    import pytest

    from tests.junction.raw_server import RawServer


async def reconnects(first: bytes, **options: Any) -> int:
    """Return how many connections it takes to poll twice, when the first answer is this one."""
    async with serving(saying(first, **options)) as server, client(server.url) as junction:
        for _ in range(2):
            await junction.connections(USER)
            await asyncio.sleep(0.05)
        return server.accepted


async def test_a_connection_that_the_server_wants_closed_is_not_used_again() -> None:
    """As HTTP says, in 1.1 on demand and in 1.0 by default."""
    assert await reconnects(ok(b"{}")) == 1
    assert await reconnects(ok(b"{}", b"connection: close")) == 2
    assert await reconnects(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}") == 2


async def test_a_connection_that_says_more_than_was_asked_is_not_used_again() -> None:
    """What follows an answer would be taken for the next user's."""
    assert await reconnects(ok(b"{}") + ok(b'{"providers": []}')) == 2
    assert await reconnects(ok(b"{}") + b"x") == 2


async def test_nothing_that_comes_unasked_is_taken_for_an_answer() -> None:
    """Whatever a server says on an idle connection closes it."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"[1]"))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(ok(b"[2]"))
        await writer.drain()

    async with serving(say) as server, client(server.url) as junction:
        first = await junction.connections(USER)
        await asyncio.sleep(0.1)
        second = await junction.connections(USER)
    assert (first.body, second.body, server.accepted) == (b"[1]", b"[1]", 2)


async def test_interim_answers_are_passed_over() -> None:
    """The answer is the one that follows them."""
    say = saying(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ok(b"{}"))
    async with serving(say) as server, client(server.url) as junction:
        answer = await junction.connections(USER)
    assert (answer.code, answer.body) == ("200", b"{}")


async def test_a_change_of_protocol_is_no_answer_that_shows_connections() -> None:
    """101 was not asked for."""
    say = saying(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    async with serving(say) as server, client(server.url) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.MALFORMED, "101")


async def _idle(server: RawServer, within: float) -> bool:
    for _ in range(int(within / 0.02)):
        if not server.open:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_connection_that_is_idle_for_long_is_closed_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a load balancer does, in the middle of a poll."""
    monkeypatch.setattr(transport, "KEEP_ALIVE_SECONDS", 0.3)
    async with serving(saying(ok(b"{}"))) as server, client(server.url) as junction:
        await junction.connections(USER)
        assert not await _idle(server, 0.1)
        assert await _idle(server, 1)
        assert (await junction.connections(USER)).code == "200"


async def test_an_old_connection_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is always in use would never notice that the address moved."""
    monkeypatch.setattr(transport, "MAX_AGE_SECONDS", 0.2)
    async with serving(saying(ok(b"{}"))) as server, client(server.url) as junction:
        codes = set()
        for _ in range(10):
            codes.add((await junction.connections(USER)).code)
            await asyncio.sleep(0.05)
    assert codes == {"200"}
    assert 2 <= server.accepted <= 5


async def test_connections_are_probed_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that vanished without a word is noticed."""
    opened: list[socket.socket] = []
    made = transport._socket

    def kept(address: aiohttp.AddrInfoType) -> socket.socket:
        opened.append(made(address))
        return opened[-1]

    monkeypatch.setattr(transport, "_socket", kept)
    async with serving(saying(ok(b"{}"))) as server, client(server.url) as junction:
        await junction.connections(USER)
        assert opened[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_an_address_that_moved_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up again when its cache time has passed."""
    monkeypatch.setattr(transport, "DNS_CACHE_SECONDS", 0.1)
    looked_up = 0

    async def resolve(_: object, host: str, port: int = 0, **__: object) -> list[Any]:
        nonlocal looked_up
        looked_up += 1
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    async with (
        serving(saying(ok(b"{}", b"connection: close"))) as server,
        client(f"http://junction.test:{server.port}") as junction,
    ):
        for pause in (0.0, 0.0, 0.3):
            await asyncio.sleep(pause)
            assert (await junction.connections(USER)).code == "200"
    assert looked_up == 2

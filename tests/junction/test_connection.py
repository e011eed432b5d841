"""Connections under the client: when they are used again, when not, and what their end means."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import httpx
import pytest

from monitor.core.model import Outcome
from monitor.junction import transport
from monitor.junction.connection import Connection
from tests.junction.clients import LIMIT, USER, client
from tests.junction.raw_server import ok, saying, serving

if TYPE_CHECKING:
    from tests.junction.raw_server import RawServer


def connected() -> tuple[Connection, Mock, Mock]:
    """Return a connection, the transport under it, and who is told of the end of an exchange."""
    settled, wire = Mock(), Mock(is_closing=Mock(return_value=False))
    connection = Connection(LIMIT, settled)
    connection.connection_made(wire)
    return connection, wire, settled


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


async def test_a_connection_that_broke_before_it_was_used_is_a_fault() -> None:
    """A server that accepts and hangs up gets no request, and the poll does not wait."""
    connection, wire, settled = connected()
    wire.is_closing.return_value = True
    exchange = connection.ask(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(httpx.ReadError, match="before an answer"):
        await exchange.head
    settled.assert_called_once_with(connection, False)
    assert not wire.write.called


async def test_a_fault_of_tls_keeps_its_cause() -> None:
    """So that it is told apart from a broken connection."""
    connection, _, _ = connected()
    exchange = connection.ask(b"GET / HTTP/1.1\r\n\r\n")
    connection.connection_lost(ssl.SSLError("bad record mac"))
    with pytest.raises(httpx.ReadError) as caught:
        await exchange.head
    assert isinstance(caught.value.__cause__, ssl.SSLError)


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_an_answer_may_come_in_any_pieces(cut: int) -> None:
    """Wherever it is cut."""
    said = ok(b'{"providers": []}', b"x: y")
    connection, _, settled = connected()
    exchange = connection.ask(b"GET / HTTP/1.1\r\n\r\n")
    for start in range(0, len(said), cut):
        connection.data_received(said[start : start + cut])
    await exchange.head
    assert (exchange.status, [each async for each in exchange]) == (200, [b'{"providers": []}'])
    settled.assert_called_once_with(connection, True)


async def test_only_gets_are_sent() -> None:
    """The transport makes one kind of request."""
    async with httpx.AsyncClient(transport=transport.HttpTransport(concurrency=1, max_body_bytes=LIMIT)) as other:
        with pytest.raises(httpx.UnsupportedProtocol, match="only GET"):
            await other.post("http://127.0.0.1:9/")

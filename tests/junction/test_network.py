"""The client over real sockets, against servers that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import tracemalloc
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.core.model import Outcome
from monitor.transport import HttpTransport
from tests.junction.answers import RESPONSE_EXAMPLE
from tests.junction.clients import KEY, LIMIT, USER, client
from tests.junction.raw_server import ok, reset, saying, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.junction.raw_server import RawServer, Say

HEAD = b"HTTP/1.1 200 OK\r\n"
SHORT = timedelta(seconds=0.3)


async def _ask(server: RawServer, **changed: object) -> tuple[Outcome | None, str]:
    async with client(server.url, **changed) as junction:
        answer = await junction.connections(USER)
    return answer.outcome, answer.code


async def _closed(server: RawServer) -> bool:
    for _ in range(100):
        if not server.open:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_connections_are_reused() -> None:
    """Polls one after the other share one connection."""
    async with serving(saying(ok(RESPONSE_EXAMPLE))) as server, client(server.url) as junction:
        bodies = [(await junction.connections(USER)).body for _ in range(20)]
    assert bodies == [RESPONSE_EXAMPLE] * 20
    assert (server.accepted, len(server.heads)) == (1, 20)


async def test_an_error_leaves_its_connection_in_use() -> None:
    """A storm of 404 or 429 is no storm of handshakes."""
    say = saying(b'HTTP/1.1 404 Not Found\r\ncontent-length: 14\r\n\r\n{"detail":"x"}')
    async with serving(say) as server, client(server.url) as junction:
        outcomes = {(await junction.connections(USER)).outcome for _ in range(5)}
    assert (outcomes, server.accepted) == ({Outcome.GONE}, 1)


async def test_no_more_connections_than_allowed() -> None:
    """Requests beyond `concurrency` wait for a free connection."""
    async with serving(saying(ok(b"{}"))) as server, client(server.url, concurrency=3) as junction:
        answers = await asyncio.gather(*(junction.connections(USER) for _ in range(30)))
    assert {answer.code for answer in answers} == {"200"}
    assert (server.accepted, server.most_open) == (3, 3)


async def test_the_head_that_is_sent() -> None:
    """On the wire there is one host, the key, and nothing else."""
    async with serving(saying(ok(b"{}"))) as server:
        await _ask(server)
    lines = server.heads[0].decode().strip().split("\r\n")
    assert lines[0] == f"GET /v2/user/providers/{USER} HTTP/1.1"
    names = sorted(line.split(":")[0].lower() for line in lines[1:])
    assert names == ["accept", "accept-encoding", "host", "traceparent", "user-agent", "x-vital-api-key"]
    assert f"x-vital-api-key: {KEY}" in [line.replace("X-Vital-Api-Key", "x-vital-api-key") for line in lines]


async def test_no_cookie_is_ever_sent_back() -> None:
    """Polls are independent of each other."""
    async with serving(saying(ok(b"{}", b"set-cookie: a=b"))) as server, client(server.url) as junction:
        for _ in range(2):
            await junction.connections(USER)
    assert b"cookie" not in server.heads[1].lower()


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 5000\r\n\r\n")
    for _ in range(5000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _drip_head(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    for _ in range(50):
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _early_hints(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("say", [_hang, _drip, _drip_head, _early_hints])
async def test_the_deadline_holds_from_start_to_last_byte(say: Say) -> None:
    """However much trickles in, the poll ends in time, and its connection with it."""
    async with serving(say) as server, client(server.url, timeout=SHORT) as junction:
        begun = time.perf_counter()
        answer = await junction.connections(USER)
        assert (answer.outcome, answer.code) == (Outcome.TIMEOUT, "timeout")
        assert 0.25 < time.perf_counter() - begun < 3
        assert say is _hang or await _closed(server)


async def test_a_slow_error_still_means_what_its_head_says() -> None:
    """A 429 whose body never ends is a 429, with its Retry-After."""
    say = saying(b"HTTP/1.1 429 Slow Down\r\nretry-after: 9\r\ncontent-length: 50\r\n\r\nwait")
    async with serving(say) as server, client(server.url, timeout=SHORT) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code, answer.retry_after) == (Outcome.THROTTLED, "429", timedelta(seconds=9))


async def test_waiting_for_a_free_connection_counts_towards_the_deadline() -> None:
    """A poll behind a slow one does not take longer than a poll may."""
    async with serving(_hang) as server, client(server.url, timeout=SHORT, concurrency=1) as junction:
        answers = await asyncio.gather(*(junction.connections(USER) for _ in range(3)))
    assert [answer.outcome for answer in answers] == [Outcome.TIMEOUT] * 3


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"content-length: 500\r\n\r\n" + RESPONSE_EXAMPLE[:100],
        HEAD + b"transfer-encoding: chunked\r\n\r\n64\r\n" + RESPONSE_EXAMPLE[:50],
        HEAD + b"transfer-encoding: chunked\r\n\r\n64\r\n" + RESPONSE_EXAMPLE[:100] + b"\r\n",
    ],
)
async def test_a_truncated_body_is_malformed(said: bytes) -> None:
    """A body that ends before its end observed nothing."""
    async with serving(saying(said, close=True)) as server:
        assert await _ask(server) == (Outcome.MALFORMED, "200")


async def test_a_body_up_to_the_end_of_the_connection_is_read() -> None:
    """HTTP/1.0 has no other way to end one."""
    say = saying(b"HTTP/1.0 200 OK\r\n\r\n", RESPONSE_EXAMPLE, close=True)
    async with serving(say) as server, client(server.url) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.body) == (None, RESPONSE_EXAMPLE)


async def test_a_chunked_body_is_read() -> None:
    """In as many pieces as it comes."""
    chunks = (b"%x\r\n%b\r\n" % (len(part), part) for part in (RESPONSE_EXAMPLE[:7], RESPONSE_EXAMPLE[7:]))
    say = saying(HEAD + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    async with serving(say) as server, client(server.url) as junction:
        assert (await junction.connections(USER)).body == RESPONSE_EXAMPLE


async def test_a_large_body_before_the_end_of_its_connection_is_read(certificate: Path) -> None:
    """What was received and not yet read is not lost when the server closes, with TLS and without."""
    body = b" " * 900_000 + b"{}"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusted = str(certificate.with_suffix(".crt"))
    for context in (None, tls):
        async with serving(saying(ok(body, b"connection: close"), close=True), context) as server:
            url = f"http{'s' if context else ''}://localhost:{server.port}"
            async with client(url, max_body_bytes=1_000_000, ca_file=trusted) as junction:
                answers = await asyncio.gather(*[junction.connections(USER) for _ in range(20)])
        assert {(answer.code, len(answer.body)) for answer in answers} == {("200", len(body))}


async def test_a_reset_in_the_middle_of_the_body_is_a_broken_connection() -> None:
    """Not the answer was bad, but the way."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 500\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async with serving(say) as server:
        assert await _ask(server) == (Outcome.UNAVAILABLE, "connect")


async def test_a_connection_that_breaks_before_the_head_is_not_asked_again() -> None:
    """One attempt is one request; the queue is the retry."""

    async def say(writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with serving(say) as server:
        assert await _ask(server) == (Outcome.UNAVAILABLE, "connect")
    assert len(server.heads) == 1


async def test_a_connection_closed_before_the_head_is_not_asked_again() -> None:
    """The same where the server closes politely."""
    async with serving(saying(close=True)) as server:
        assert await _ask(server) == (Outcome.UNAVAILABLE, "connect")
    assert len(server.heads) == 1


async def test_a_stale_connection_is_not_asked_again() -> None:
    """A connection that the server closes instead of answering is a failed poll; the next one opens another."""
    served = 0

    async def say(writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if served == 2:
            writer.close()
        else:
            writer.write(ok(b"{}"))

    async with serving(say) as server, client(server.url) as junction:
        codes = [(await junction.connections(USER)).code for _ in range(3)]
    assert (codes, len(server.heads), server.accepted) == (["200", "connect", "200"], 3, 2)


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    """A server that closes after each answer costs a connection, not a poll."""
    async with serving(saying(ok(b"{}"), close=True)) as server, client(server.url) as junction:
        codes = []
        for _ in range(3):
            codes.append((await junction.connections(USER)).code)
            await asyncio.sleep(0.1)
    assert (codes, server.accepted) == (["200"] * 3, 3)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02\x03" * 100,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_a_broken_connection(said: bytes) -> None:
    """Garbage and absurd headers come to a value, in bounded time."""
    async with serving(saying(said, close=True)) as server:
        assert await _ask(server) == (Outcome.UNAVAILABLE, "connect")


@pytest.mark.parametrize("close", [False, True])
async def test_a_body_that_stops_being_http_is_a_broken_connection(close: bool) -> None:
    """Also where the head came long before, and at once instead of at the deadline."""
    say = saying(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"2\r\n{}\r\n", b"zz\r\n{}\r\n", close=close)
    async with serving(say) as server, asyncio.timeout(2):
        assert await _ask(server) == (Outcome.UNAVAILABLE, "connect")


async def test_a_body_declared_too_large_is_not_read() -> None:
    """It is refused by its head, and its connection closed."""
    said = HEAD + b"content-length: %d\r\n\r\n" % (LIMIT + 1)
    async with serving(saying(said)) as server, client(server.url) as junction:
        answer = await junction.connections(USER)
        assert (answer.outcome, answer.code) == (Outcome.MALFORMED, "200")
        assert await _closed(server)


async def _flood(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


async def test_an_endless_body_is_cut_at_the_limit() -> None:
    """Neither time nor memory goes into what is too large, and the connection is not used again."""
    async with serving(_flood) as server, client(server.url) as junction:
        answer = await junction.connections(USER)
        assert (answer.outcome, answer.code) == (Outcome.MALFORMED, "200")
        assert await _closed(server)


async def _flood_trailers(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    while True:
        writer.write(b"x-trailer: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)
        await writer.drain()


async def _flood_head(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"x-header: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)
        await writer.drain()


@pytest.mark.parametrize("say", [_flood_trailers, _flood_head])
async def test_endless_headers_and_trailers_are_cut(say: Say) -> None:
    """Long before the deadline, and before they fill memory."""
    async with serving(say) as server, client(server.url, timeout=timedelta(seconds=30)) as junction:
        tracemalloc.start()
        try:
            async with asyncio.timeout(10):
                answer = await junction.connections(USER)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.outcome in {Outcome.UNAVAILABLE, Outcome.MALFORMED}
        assert peak < 5_000_000
        assert await _closed(server)


async def test_countless_chunks_of_one_byte_cost_no_memory() -> None:
    """The overhead of each is not kept."""
    chunks = b"1\r\nx\r\n" * 10_000
    say = saying(HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunks] * 20, b"0\r\n\r\n")
    async with serving(say) as server:
        tracemalloc.start()
        try:
            async with client(server.url, max_body_bytes=200_000, timeout=timedelta(seconds=30)) as junction:
                answer = await junction.connections(USER)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(answer.body) == 200_000
    assert peak < 4_000_000


async def test_a_gzip_bomb_is_bounded_in_memory() -> None:
    """A hundred megabytes in a hundred kilobytes are refused without being made."""
    bomb = gzip.compress(b"\0" * 100_000_000)
    async with serving(saying(ok(bomb, b"content-encoding: gzip"))) as server:
        tracemalloc.start()
        try:
            outcome = await _ask(server, max_body_bytes=500_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome == (Outcome.MALFORMED, "200")
    assert peak < 5_000_000


async def test_a_redirect_is_not_followed() -> None:
    """The key goes nowhere else."""
    async with serving(saying(ok(b"{}"))) as other:
        location = f"{other.url}/v2/user/providers/{USER}".encode()
        say = saying(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % location)
        async with serving(say) as server:
            assert await _ask(server) == (Outcome.UNAVAILABLE, "307")
    assert (len(server.heads), other.accepted) == (1, 0)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes to the configured host alone."""
    async with serving(saying(ok(b"{}"))) as proxy, serving(saying(ok(b"{}"))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await _ask(server) == (None, "200")
    assert proxy.accepted == 0


async def test_a_refused_connection_is_a_value() -> None:
    """Nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with client(f"http://127.0.0.1:{port}") as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code, answer.answered) == (Outcome.UNAVAILABLE, "connect", False)
    assert answer.detail


async def test_an_unknown_host_is_a_value() -> None:
    """The name does not resolve."""
    async with client("http://junction.invalid") as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test", "1.2.3"])
async def test_a_host_name_that_is_none_is_a_value(host: str) -> None:
    """It cannot be looked up."""
    async with client(f"http://{host}") as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")


async def test_a_cancelled_poll_closes_its_connection() -> None:
    """Draining at shutdown may cut polls off; nothing stays behind, and the cancellation goes through."""
    async with serving(_hang) as server, client(server.url) as junction:
        poll = asyncio.create_task(junction.connections(USER))
        await asyncio.sleep(0.05)
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
    assert server.accepted == 1


async def test_closing_the_client_ends_those_who_wait_for_a_connection_as_a_value() -> None:
    """They are not cancelled: nobody asked for that."""
    async with serving(_hang) as server, client(server.url, concurrency=1) as junction:
        polls = [asyncio.create_task(junction.connections(USER)) for _ in range(3)]
        await asyncio.sleep(0.1)
        await junction.aclose()
        answers = await asyncio.wait_for(asyncio.gather(*polls), 2)
    assert [answer.code for answer in answers] == ["connect"] * 3


async def test_cancelled_polls_free_their_connections() -> None:
    """Twenty of them leave all four for those who come after."""
    hanging = True

    async def say(writer: asyncio.StreamWriter) -> None:
        if hanging:
            await asyncio.sleep(60)
        writer.write(ok(b"{}"))

    async with serving(say) as server, client(server.url, timeout=timedelta(seconds=2)) as junction:
        polls = [asyncio.create_task(junction.connections(USER)) for _ in range(20)]
        await asyncio.sleep(0.1)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        hanging = False
        answers = await asyncio.gather(*[junction.connections(USER) for _ in range(8)])
    assert [answer.code for answer in answers] == ["200"] * 8


@pytest.mark.parametrize("say", [_hang, _drip])
async def test_closing_the_client_ends_what_is_in_flight_as_a_value(say: Say) -> None:
    """Who closes too early loses answers by the deadline at the latest, and nothing crashes."""
    async with serving(say) as server, client(server.url, timeout=SHORT) as junction:
        poll = asyncio.create_task(junction.connections(USER))
        await asyncio.sleep(0.1)
        await junction.aclose()
        answer = await asyncio.wait_for(poll, 2)
    assert answer.outcome in {Outcome.UNAVAILABLE, Outcome.TIMEOUT}


async def test_a_closed_client_asks_nobody() -> None:
    """After closing, nothing is opened again; closing twice is no fault."""
    async with serving(saying(ok(b"{}"))) as server, client(server.url) as junction:
        await junction.connections(USER)
        await junction.aclose()
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.detail and answer.detail.startswith("the client is closed")) == (
        Outcome.UNAVAILABLE,
        True,
    )
    assert len(server.heads) == 1


async def test_the_transport_is_one_of_httpx() -> None:
    """It also carries the requests of httpx's own client."""
    transport = HttpTransport(connections=1)
    async with serving(saying(ok(b"[]"))) as server, httpx.AsyncClient(transport=transport) as other:
        response = await other.get(f"{server.url}/x?y=1", headers={"a": "b"})
    assert (response.json(), server.heads[0].split(b"\r\n")[0]) == ([], b"GET /x?y=1 HTTP/1.1")


async def test_a_path_is_sent_as_it_is_written() -> None:
    """Nothing is decoded and encoded anew: a signature may be in it."""
    async with (
        serving(saying(ok(b"[]"))) as server,
        httpx.AsyncClient(transport=HttpTransport(connections=1)) as other,
    ):
        await other.get(f"{server.url}/a%2Fb/%7Ec?d=%20e+f")
    assert server.heads[0].startswith(b"GET /a%2Fb/%7Ec?d=%20e+f HTTP/1.1\r\n")

"""Requests through a proxy: what it sees, and what its refusals mean."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from monitor.core.model import Outcome
from tests.junction.clients import KEY, USER, client
from tests.junction.connect_proxy import LOGIN, proxying
from tests.junction.raw_server import ok, saying, serving

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.ports import Answer

SAY = saying(ok(b'{"providers": []}'))
PASSWORD = LOGIN.partition(":")[2]


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """Give the TLS of servers named localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def _ask(certificate: Path, port: int, proxy: str, times: int = 1, **changed: Any) -> list[Answer]:
    trusted = str(certificate.with_suffix(".crt"))
    async with client(f"https://localhost:{port}", proxy=proxy, ca_file=trusted, **changed) as junction:
        return [await junction.connections(USER) for _ in range(times)]


async def test_a_proxy_sees_the_host_and_nothing_else(certificate: Path, tls: ssl.SSLContext) -> None:
    """The key and the user travel inside TLS."""
    async with serving(SAY, tls) as server, proxying() as proxy:
        (answer,) = await _ask(certificate, server.port, f"http://127.0.0.1:{proxy.port}")
    assert (answer.outcome, answer.body) == (None, b'{"providers": []}')
    assert proxy.heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    seen = proxy.heads[0] + proxy.sent
    assert KEY.encode() not in seen
    assert str(USER).encode() not in seen


async def test_a_tunnel_is_kept_for_further_requests(certificate: Path, tls: ssl.SSLContext) -> None:
    """A poll costs no handshake with the proxy."""
    async with serving(SAY, tls) as server, proxying() as proxy:
        answers = await _ask(certificate, server.port, f"http://127.0.0.1:{proxy.port}", times=5)
    assert ([answer.code for answer in answers], len(proxy.heads)) == (["200"] * 5, 1)


async def test_a_proxy_itself_may_be_reached_over_tls(certificate: Path, tls: ssl.SSLContext) -> None:
    """Its certificate is verified as every other."""
    async with serving(SAY, tls) as server, proxying(tls=tls) as proxy:
        (answer,) = await _ask(certificate, server.port, f"https://localhost:{proxy.port}")
        (refused,) = await _ask(certificate, server.port, f"https://127.0.0.1:{proxy.port}")
    assert answer.code == "200"
    assert (refused.outcome, refused.code) == (Outcome.UNAVAILABLE, "tls")


async def test_a_proxy_gets_its_credentials_and_the_target_does_not(certificate: Path, tls: ssl.SSLContext) -> None:
    """They are taken from the proxy's address."""
    async with serving(SAY, tls) as server, proxying(login=True) as proxy:
        (answer,) = await _ask(certificate, server.port, f"http://{LOGIN}@127.0.0.1:{proxy.port}")
    assert answer.code == "200"
    assert b"proxy-authorization" not in server.heads[0].lower()


async def test_wrong_credentials_are_named_but_not_shown(
    certificate: Path, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer says 407; neither the answer nor any log holds the password or the key."""
    asyncio.get_running_loop().set_debug(enabled=True)
    async with serving(SAY, tls) as server, proxying(login=True) as proxy:
        with caplog.at_level(logging.DEBUG):
            (answer,) = await _ask(certificate, server.port, f"http://ann:wrong-{PASSWORD}@127.0.0.1:{proxy.port}")
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")
    assert (answer.detail or "").startswith("the proxy refused to connect: 407 Proxy Authentication Required")
    for text in (repr(answer), caplog.text, repr([vars(record) for record in caplog.records])):
        assert PASSWORD not in text
        assert KEY not in text
    assert server.accepted == 0


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "the proxy refused to connect: 403 Forbidden"),
        (b"HTTP/1.1 502\r\n\r\n", "the proxy refused to connect: 502"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP"),
        (b"", "the connection broke before an answer came"),
    ],
)
async def test_a_proxy_that_refuses_is_a_broken_connection(
    certificate: Path, tls: ssl.SSLContext, refusal: bytes, detail: str
) -> None:
    """Nothing was observed, the target is not asked, and the proxy is asked once."""
    async with serving(SAY, tls) as server, proxying(refusal=refusal) as proxy:
        (answer,) = await _ask(certificate, server.port, f"http://127.0.0.1:{proxy.port}")
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")
    assert (answer.detail or "").startswith(detail)
    assert (server.accepted, len(proxy.heads)) == (0, 1)


async def test_a_proxy_that_is_not_there_is_named_as_the_fault(certificate: Path) -> None:
    """Junction itself was not asked."""
    (answer,) = await _ask(certificate, 9, f"http://{LOGIN}@127.0.0.1:9")
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")
    assert (answer.detail or "").startswith("the proxy cannot be reached: ")
    assert PASSWORD not in (answer.detail or "")


async def test_a_proxy_that_does_not_answer_ends_with_the_deadline(certificate: Path) -> None:
    """The tunnel is a part of the request."""

    async def hang(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with serving(hang) as proxy:
        (answer,) = await _ask(certificate, 9, proxy.url, timeout=timedelta(seconds=0.3))
    assert (answer.outcome, answer.code) == (Outcome.TIMEOUT, "timeout")


async def test_the_target_behind_a_proxy_is_verified(tls: ssl.SSLContext) -> None:
    """A proxy that opens TLS with a certificate of its own gets no key."""
    async with (
        serving(SAY, tls) as server,
        proxying() as proxy,
        client(f"https://localhost:{server.port}", proxy=f"http://127.0.0.1:{proxy.port}") as junction,
    ):
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code, server.heads) == (Outcome.UNAVAILABLE, "tls", [])

"""TLS: whom the key is shown to."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from monitor.core.model import Outcome
from tests.junction.clients import USER, client
from tests.junction.raw_server import ok, saying, serving

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.ports import Answer

SAY = saying(ok(b'{"providers": []}'))


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def _ask(host: str, tls: ssl.SSLContext | None) -> tuple[Answer, list[bytes]]:
    async with serving(SAY, tls) as server, client(f"https://{host}:{server.port}") as junction:
        return await junction.connections(USER), server.heads


async def test_a_trusted_certificate_is_accepted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private authority comes in through SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    answer, _ = await _ask("localhost", _context(certificate))
    assert (answer.outcome, answer.body) == (None, b'{"providers": []}')


async def test_a_self_signed_certificate_is_refused(certificate: Path) -> None:
    """Nobody vouches for it: the key is not sent."""
    answer, heads = await _ask("localhost", _context(certificate))
    assert (answer.outcome, answer.code, heads) == (Outcome.UNAVAILABLE, "tls", [])
    assert "certificate" in (answer.detail or "")


async def test_the_wrong_host_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good certificate of somebody else does not help."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    answer, heads = await _ask("127.0.0.1", _context(certificate))
    assert (answer.outcome, answer.code, heads) == (Outcome.UNAVAILABLE, "tls", [])


async def test_a_server_without_tls_is_refused() -> None:
    """Plain text on a TLS port is a fault of TLS."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "tls")


async def test_old_tls_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below TLS 1.2 nothing is spoken."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    context = _context(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    answer, heads = await _ask("localhost", context)
    assert (answer.outcome, heads) == (Outcome.UNAVAILABLE, [])  # asyncio servers reset here, and send no alert

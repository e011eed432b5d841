"""TLS: whom the key is shown to."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from monitor.core.model import Outcome
from tests.conftest import self_signed
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


async def test_authorities_of_a_target_are_trusted_beside_the_systems(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ca_file`` adds to them and takes none away."""
    other = self_signed(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.with_suffix(".crt")))
    for served in (certificate, other):
        async with serving(SAY, _context(served)) as server:
            url, trusted = f"https://localhost:{server.port}", str(certificate.with_suffix(".crt"))
            async with client(url, ca_file=trusted) as junction:
                assert (await junction.connections(USER)).code == "200"


async def test_a_file_of_authorities_that_has_gone_is_a_fault_of_tls(tmp_path: Path) -> None:
    """It was there at the start; the answer names the file."""
    async with client("https://127.0.0.1:9", ca_file=str(tmp_path / "gone.pem")) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "tls")
    assert (answer.detail or "").startswith(f"ca_file: expected a file of PEM certificates, {tmp_path}"[:100])


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


def _expired(place: Path) -> Path:
    """Return a certificate that everybody trusts and that was good until 2020, its key in the same file."""
    (place / "issued").touch()
    (place / "serial").write_text("01")
    (place / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={place}/issued\nserial={place}/serial\nnew_certs_dir={place}\n"
        "default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:localhost\n"
    )
    key, request, certificate = (str(place / f"expired.{each}") for each in ("key", "csr", "crt"))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    sign = ["-selfsign", "-batch", "-notext", "-startdate", "20190101000000Z", "-enddate", "20200101000000Z"]
    for command in (
        ["req", "-new", *new, "-keyout", key, "-out", request],
        ["ca", *sign, "-config", str(place / "ca.cnf"), "-keyfile", key, "-in", request, "-out", certificate],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    both = place / "expired.pem"
    both.write_bytes((place / "expired.key").read_bytes() + (place / "expired.crt").read_bytes())
    return both


async def test_an_expired_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was good, and is no more: the key is not sent."""
    expired = _expired(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(expired.with_suffix(".crt")))
    answer, heads = await _ask("localhost", _context(expired))
    assert (answer.outcome, answer.code, heads) == (Outcome.UNAVAILABLE, "tls", [])
    assert "expired" in (answer.detail or "")

"""A real CONNECT proxy on loopback, which keeps all that it can see."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

LOGIN = "ann:open-sesame"
ALLOWED = base64.b64encode(LOGIN.encode())


@dataclass
class Proxy:
    """What the proxy was asked for, and the bytes that clients sent through it."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)


@asynccontextmanager
async def proxying(
    *, tls: ssl.SSLContext | None = None, login: bool = False, refusal: bytes | None = None
) -> AsyncIterator[Proxy]:
    """Tunnel to wherever a client asks, with ``login`` only for those who show it; or answer by ``refusal``."""
    seen = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # it runs in a task
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            seen.heads.append(head)
            if refusal is not None:
                writer.write(refusal)
            elif login and b"Proxy-Authorization: Basic " + ALLOWED not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            else:
                await _tunnel(head, reader, writer, seen)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _tunnel(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Proxy) -> None:
    host, _, port = head.split()[1].decode().rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        await asyncio.gather(_copy(reader, far_writer, seen.sent), _copy(far_reader, writer, bytearray()))
    finally:
        far_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
    while chunk := await source.read(65536):
        kept += chunk
        sink.write(chunk)
        await sink.drain()
    sink.close()

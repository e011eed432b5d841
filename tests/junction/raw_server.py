"""A server that says on a real socket exactly the bytes a test wants said."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """What was said to the server: how many connections there were, and the heads of the requests."""

    port: int = 0
    accepted: int = 0
    open: int = 0
    most_open: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The plain address."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(say: Say, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Answer every request on loopback by ``say``, until the client goes or ``say`` closes."""
    seen = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # it runs in a task
        seen.accepted += 1
        seen.open += 1
        seen.most_open = max(seen.most_open, seen.open)
        try:
            while not writer.is_closing():
                seen.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await say(writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass  # the client went, or the test is over
        finally:
            seen.open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

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


def saying(*texts: bytes, close: bool = False) -> Say:
    """Say the texts one after the other, and perhaps close."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for text in texts:
            writer.write(text)
            await writer.drain()
            await asyncio.sleep(0.01)
        if close:
            writer.close()

    return say


def ok(body: bytes, *headers: bytes) -> bytes:
    """A whole 200."""
    head = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut the connection off with a reset."""
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

"""A real HTTP receiver on loopback that answers as a test wants."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def data(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """What was received, whatever the answer was, and what was answered with 200."""

    port: int
    answer: Callable[[Request], Awaitable[int]]
    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)
    body: bytes = b""
    headers: str = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def told(self) -> list[tuple[str, str]]:
        """Return summaries' and notices' words, of what was accepted in order."""
        return [(each.data["data"].get("alert_id", ""), each.data["data"].get("state", "")) for each in self.accepted]


async def fine(_: Request) -> int:
    """Take everything."""
    return 200


def always(status: int) -> Callable[[Request], Awaitable[int]]:
    """Answer always the same."""

    async def answer(_: Request) -> int:
        return status

    return answer


def failing_on(state: str, status: int) -> Callable[[Request], Awaitable[int]]:
    """Answer 200 to everything but what is in this state."""

    async def answer(request: Request) -> int:
        return status if request.data["data"].get("state") == state else 200

    return answer


async def hanging(_: Request) -> int:
    """Be slower than anyone waits."""
    await asyncio.sleep(60)
    return 200


@asynccontextmanager
async def receiving(answer: Callable[[Request], Awaitable[int]] = fine, port: int = 0) -> AsyncIterator[Receiver]:
    """Listen on loopback until the block ends."""
    receiver, tasks = Receiver(port=port, answer=answer), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            while True:
                request = await _read(reader)
                receiver.requests.append(request)
                status = await receiver.answer(request)
                if status == 200:
                    receiver.accepted.append(request)
                head = f"HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: {len(receiver.body)}\r\n"
                head += f"{receiver.headers}\r\n"
                writer.write(head.encode() + receiver.body)
                await writer.drain()
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Request(head[0].split()[1], headers, body.decode())

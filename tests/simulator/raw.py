"""HTTP by hand: what really goes over the wire, whatever a client makes of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "sk_us_simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """All bytes of one answer, and how the connection ended: ``eof``, ``reset`` or ``open``."""

    head: str
    body: bytes
    ending: str

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head.split(" ")[1])

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        fields = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {key.lower(): value for key, _, value in fields}.get(name)


async def ask(port: int, path: str, *, method: str = "GET", key: str = KEY, wait: float = 0.3) -> Received:
    """Send one request and take what comes until the connection ends or nothing has come for ``wait`` seconds."""
    return await send(
        port, f"{method} {path} HTTP/1.1\r\nhost: x\r\nX-Vital-API-Key: {key}\r\n\r\n".encode(), wait=wait
    )


async def send(
    port: int, request: bytes, *, wait: float = 0.3, enough: Callable[[bytes], bool] = lambda _: False
) -> Received:
    """Send these bytes; take what comes until it is enough, the connection ends, or nothing comes for ``wait`` s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    received, ending = b"", "open"
    try:
        while not enough(received) and ending == "open":
            part = await asyncio.wait_for(reader.read(1 << 16), wait)
            ending = ending if part else "eof"
            received += part
    except TimeoutError:
        pass
    except ConnectionResetError:
        ending = "reset"
    finally:
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return Received(head=head.decode(), body=body, ending=ending)


def _is_whole(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head)
    return size is not None and len(body) >= int(size[1])

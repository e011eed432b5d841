"""A Junction that costs next to nothing: one fixed answer, after a latency, over keep-alive.

Run as a process of its own on its own core: ``python -m tests.benchmarks.upstream PORT LATENCY_SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final, cast

import uvloop

ROW: Final[dict[str, Any]] = {
    "name": "Fitbit",
    "slug": "fitbit",
    "logo": "https://logo.example/fitbit.png",
    "status": "connected",
    "created_on": "2026-01-23T12:34:56+00:00",
    "external_user_id": "ABC123",
    "error_details": None,
}
SCOPES: Final[dict[str, Any]] = {
    "status": "available",
    "scope_requirements": {
        "user_granted": {"required": ["weight", "nutrition"], "optional": []},
        "user_denied": {"required": [], "optional": ["heartrate"]},
    },
}
RESOURCES: Final = ("body", "sleep", "activity", "workouts", "heartrate", "weight", "profile", "steps", "hrv", "meal")


def body() -> bytes:
    """Return an answer with three connections of ten resources each, about 7 kB."""
    rows = [
        ROW | {"slug": slug, "resource_availability": dict.fromkeys(RESOURCES, SCOPES)}
        for slug in ("fitbit", "oura", "freestyle_libre")
    ]
    return json.dumps({"providers": rows}).encode()


class Upstream(asyncio.Protocol):
    """Answers every request alike; a request without a body ends with an empty line."""

    def __init__(self, answer: bytes, latency: float) -> None:
        self._answer = answer
        self._latency = latency
        self._left = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each complete request head."""
        data = self._left + data
        heads = data.count(b"\r\n\r\n")
        self._left = data[data.rfind(b"\r\n\r\n") + 4 :] if heads else data
        for _ in range(heads):
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send)
            else:
                self._send()

    def _send(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer)


async def serve(port: int, latency: float) -> None:
    """Serve until the process ends."""
    content = body()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    answer = head.encode() + content
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(answer, latency), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))

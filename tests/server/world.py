"""A process as the server sees it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from monitor.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Page:
    """An exporter with one page."""

    def __init__(self, size: int = 0) -> None:
        self._size = size

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return what was asked for, and as much more as there is to be."""
        return f"# {accept}\n".encode() + b"#" * self._size, "text/plain; version=0.0.4; charset=utf-8"


class World:
    """What the server is told of the process."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.unready: dict[str, str] = {}
        self.error: Exception | None = None
        self.page = Page()

    async def ping(self) -> None:
        """Answer, or fail as told."""
        if self.error is not None:
            raise self.error

    def server(self, port: int = 0, **settings: Any) -> Server:
        """Return a server of this world."""
        return Server(
            port=port,
            exporter=self.page,  # type: ignore[arg-type]  # a page is all that is asked of it
            ping=self.ping,
            failing=lambda: self.failing,
            unready=lambda: self.unready,
            **({"host": "127.0.0.1"} | settings),
        )

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncIterator[int]:
        """Serve while a block runs, which is given the port."""
        server = self.server(**settings)
        await server.start()
        try:
            yield server.port
        finally:
            await server.stop()

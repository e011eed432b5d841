"""Accepting clients one by one, with TLS handshakes bounded in number and time before any request is read.

A client that connects and stays silent holds a file descriptor. The event loop's own server accepts all that wait in
one step, puts no bound on handshakes, and waits a minute for each.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import uvicorn

if TYPE_CHECKING:
    import socket
    import ssl

HANDSHAKES: Final = 32
"""The most in progress at once; the oldest makes room for the next, so that silent clients lock nobody out."""
HANDSHAKE_WITHIN: Final = 5.0
"""Seconds that a handshake may take: as long as the head of a request."""
RETRY: Final = 0.1
"""Seconds until the next attempt where a client cannot be accepted: the process has no descriptor left."""


class Listener(uvicorn.Server):
    """A server that accepts clients itself, and leaves signals to the application."""

    def __init__(self, config: uvicorn.Config, context: ssl.SSLContext | None) -> None:
        """Keep the settings; with ``context`` clients are served under TLS."""
        super().__init__(config)
        self._context = context
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: dict[asyncio.Task[None], None] = {}

    def install_signal_handlers(self) -> None:
        """Install none."""

    def capture_signals(self) -> _NoSignals:  # type: ignore[override]
        """Capture none."""
        return _NoSignals()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        self._accepting = [asyncio.create_task(self._accept(each)) for each in sockets or []]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; raise what ended the accepting of clients."""
        for task in self._accepting:
            if task.done():
                task.result()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, break off handshakes, and let requests end."""
        ending = [*self._accepting, *self._handshakes]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            if len(self._handshakes) >= HANDSHAKES:
                await self._break_off(next(iter(self._handshakes)))
            task = asyncio.create_task(self._connect(client))
            self._handshakes[task] = None
            task.add_done_callback(lambda task: self._handshakes.pop(task, None))

    async def _connect(self, client: socket.socket) -> None:
        settings: dict[str, Any] = {}
        if self._context is not None:
            settings = {"ssl": self._context, "ssl_handshake_timeout": HANDSHAKE_WITHIN}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, client, **settings)
        except OSError:
            # Not TLS, refused by the client, or too slow (ssl.SSLError, ConnectionError and TimeoutError are OSErrors).
            client.close()

    async def _break_off(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait({task})

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class _NoSignals:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

"""One connection of a client, for a bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

CONNECTIONS: Final = 64
"""The most that are open at once; the one that is idle longest makes room for the next."""
HEAD_WITHIN: Final = 5.0
"""Seconds in which a request must have come, counted from the connection or from the last answer."""
ANSWER_WITHIN: Final = 30.0
"""Seconds in which a client must have taken its answer."""


class ClientConnection(H11Protocol):
    """HTTP/1.1 to clients that may be slow or hostile: what takes too long is cut off."""

    _deadline: asyncio.TimerHandle | None = None
    _answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room, and wait for a request."""
        super().connection_made(transport)
        self._arm(HEAD_WITHIN)
        if len(self.connections) > CONNECTIONS:
            self._make_room()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._answering = False
        self._arm(HEAD_WITHIN)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._disarm()
        super().connection_lost(exc)

    @property
    def due(self) -> float:
        """When the client must have done what is waited for."""
        return self._deadline.when() if self._deadline else 0.0

    def _make_room(self) -> None:
        others: list[Any] = [each for each in self.connections if each is not self]
        min(others, key=lambda each: each.due).transport.abort()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _expire(self) -> None:
        asked: RequestResponseCycle | None = self.cycle
        if asked is None or asked.response_complete or self._answering:
            self.transport.abort()
        else:
            self._answering = True
            self._arm(ANSWER_WITHIN)

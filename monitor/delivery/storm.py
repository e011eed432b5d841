"""How much a sink is told in a minute, and what is over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.ports import Outbox


class Storm:
    """The limit of one sink, which all replicas share: what was sent stands in the outbox."""

    def __init__(self, sink: str, most: int, outbox: Outbox) -> None:
        self._sink = sink
        self._most = most
        self._outbox = outbox
        self._over: datetime | None = None

    @staticmethod
    def minute(now: datetime) -> datetime:
        """Return when the minute of ``now`` began."""
        return now.replace(second=0, microsecond=0)

    async def left(self, minute: datetime) -> int:
        """Return how many notices may still be told in this minute."""
        return max(0, self._most - await self._outbox.sent_since(self._sink, minute))

    def is_over(self, minute: datetime) -> None:
        """Note that nothing is left of this minute, so that whatever waits at its end is over the limit."""
        self._over = minute

    def was_over(self, minute: datetime) -> bool:
        """Return once whether nothing was left of an earlier minute."""
        over = self._over is not None and self._over != minute
        if over:
            self._over = None
        return over

"""Telling a sink again what still fires, on one replica at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from monitor.ports import ANSWERED

if TYPE_CHECKING:
    from monitor.delivery.health import Health
    from monitor.ports import Receipt


class ForgetfulSink(Protocol):
    """A sink that is to be told again what still fires."""

    async def resend(self) -> Receipt | None:
        """Tell all that fires, and return the worst that became of it, None where nothing fires."""
        ...


class Resend:
    """One sink's recurring job."""

    def __init__(self, sink: ForgetfulSink, health: Health) -> None:
        self._sink = sink
        self._health = health

    async def run(self) -> bool:
        """Tell all that fires, and return whether somebody heard it, or there was nothing to hear."""
        receipt = await self._sink.resend()
        if receipt is None:
            return True
        heard = receipt.reception in ANSWERED
        if heard:
            self._health.works()
        else:
            self._health.fails(receipt)
        return heard

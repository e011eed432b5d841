"""Tells what was decided: wakes the loop of every sink, and ends them all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.delivery import Courier

LAST_TRY: Final = 4.0
"""Seconds that all sinks together have for a last try; what a slower one has in hand is given back."""


class Notifier:
    """The loops of all sinks, each a task of its own: none waits for another."""

    def __init__(self, couriers: Sequence[Courier], *, last_try: float = LAST_TRY) -> None:
        self._couriers = couriers
        self._last_try = last_try
        self._stopping = asyncio.Event()

    def tick(self) -> None:
        """Look for pending notices now."""
        for each in self._couriers:
            each.tick()

    def stop(self) -> None:
        """Let every sink try once more; then :meth:`run` returns."""
        self._stopping.set()
        for each in self._couriers:
            each.stop()

    async def run(self) -> None:
        """Deliver until :meth:`stop`; raises what ends a loop before, after the other sinks' last try."""
        stopping = asyncio.create_task(self._stopping.wait())
        loops = {asyncio.create_task(each.run(), name=f"notify {each.name}"): each.name for each in self._couriers}
        try:
            await asyncio.wait({stopping, *loops}, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            await asyncio.wait(loops, timeout=self._last_try)
        finally:
            for task in (stopping, *loops):
                task.cancel()
            ends = await asyncio.gather(*loops, return_exceptions=True)
        for name, end in zip(loops.values(), ends, strict=True):
            if isinstance(end, Exception):
                end.add_note(f"in the loop of the sink {name}")
                raise end

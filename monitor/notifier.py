"""Tells what was decided: takes notices out of the outbox and marks them once they are told.

Delivery is at least once: a notice is taken under a lease and marked after its line was flushed, so where a process
dies in between, it or another one writes the line again.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitor import events
from monitor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.availability import Availability
    from monitor.ports import Metrics, Notice, Outbox

LOG_SINK: Final = "log"
AT_ONCE: Final = 200
LEASE: Final = timedelta(seconds=30)
"""After this another replica tells what a process took and did not tell."""


class AlertLog(Protocol):
    """Where alert lines go."""

    def write(self, payload: Mapping[str, Any]) -> None:
        """Write one line and flush it; raise OSError where that failed."""
        ...


class Notifier:
    """Writes pending notices in order, whenever it is woken."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        alert_log: AlertLog,
        metrics: Metrics,
        availability: Availability,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
    ) -> None:
        self._outbox = outbox
        self._alert_log = alert_log
        self._metrics = metrics
        self._availability = availability
        self._log = log
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False

    def tick(self) -> None:
        """Look for pending notices now."""
        self._wake.set()

    def stop(self) -> None:
        """Tell what is pending now; then :meth:`run` returns."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until :meth:`stop`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            last = self._stopping
            await self._drain()
            if last:
                return

    async def _drain(self) -> None:
        try:
            while notices := await self._outbox.claim(limit=AT_ONCE, now=self._clock(), lease=LEASE):
                if not await self._deliver(notices):
                    return
            self._availability.answered("notify")
        except StoreUnavailable as error:
            self._availability.lost("notify", error)
        except Exception:  # noqa: BLE001 - the job's border: what was not marked is told again at the next tick
            self._log.exception(events.JOB_CRASHED, job="notify")

    async def _deliver(self, notices: Sequence[Notice]) -> bool:
        told = await asyncio.to_thread(self._tell, notices)
        await self._outbox.mark_written([each.id for each in notices[:told]], now=self._clock())
        await self._outbox.release(notices[told:])
        self._metrics.delivered(LOG_SINK, "delivered", told)
        self._metrics.delivered(LOG_SINK, "failed", int(told < len(notices)))
        return told == len(notices)

    def _tell(self, notices: Sequence[Notice]) -> int:
        """Return how many lines were written before the first that could not be. A reader who is slow blocks here."""
        for count, each in enumerate(notices):
            try:
                self._alert_log.write(each.payload)
            except OSError:
                return count
        return len(notices)

"""Whether a sink works: told once when it begins to fail and once when it works again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import events

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from monitor.ports import Receipt


class Health:
    """Of one sink; shared by all that tell it something, so that one outage is one line."""

    def __init__(self, sink: str, log: FilteringBoundLogger) -> None:
        self._sink = sink
        self._log = log
        self._failing = False

    def works(self) -> None:
        """Note that the sink answered."""
        if self._failing:
            self._log.info(events.SINK_RECOVERED, sink=self._sink)
        self._failing = False

    def fails(self, receipt: Receipt) -> None:
        """Note that the sink did not answer, or that it cannot work now."""
        if not self._failing:
            self._log.error(events.SINK_FAILING, sink=self._sink, reason=receipt.reason, status=receipt.status)
        self._failing = True

    def gone(self, receipt: Receipt, given_up: int) -> None:
        """Note that the sink's address is gone, and that this many notifications were given up for it."""
        wait = receipt.retry_after.total_seconds() if receipt.retry_after else None
        facts = {"reason": receipt.reason, "status": receipt.status, "notifications": given_up, "retry_seconds": wait}
        self._log.error(events.SINK_GONE, sink=self._sink, **facts)
        self._failing = True

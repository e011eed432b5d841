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

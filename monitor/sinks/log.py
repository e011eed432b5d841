"""The alert log as a sink: a line for each notice, in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitor.ports import Receipt, Reception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.ports import Notice

WRITTEN: Final = Receipt(reception=Reception.DELIVERED)


class AlertLog(Protocol):
    """Where alert lines go."""

    def write(self, event: str, payload: Mapping[str, Any]) -> None:
        """Write one line and flush it; raise OSError where that failed."""
        ...


class LogSink:
    """Writes lines until one cannot be written. A reader who is slow holds up nothing but this sink."""

    def __init__(self, alert_log: AlertLog) -> None:
        self._alert_log = alert_log

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Write a line for each notice."""
        return await asyncio.to_thread(self._write, notices)

    async def aclose(self) -> None:
        """Do nothing: the stream is not ours."""

    def _write(self, notices: Sequence[Notice]) -> list[Receipt]:
        for count, each in enumerate(notices):
            try:
                self._alert_log.write(each.event, each.payload)
            except OSError as error:
                lost = Receipt(reception=Reception.UNREACHABLE, reason=str(error) or type(error).__name__)
                return [WRITTEN] * count + [lost] * (len(notices) - count)
        return [WRITTEN] * len(notices)

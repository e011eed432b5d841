"""What keeps the house beside polling: discovery in turn, and the vendor's own total for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.discovery import discover
from monitor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.ports import Cohort, Junction, Metrics

CROSS_CHECK_EVERY: Final = 300
"""Seconds between two looks at the vendor's own total."""


class Housekeeping:
    """The slow jobs of one target; each ends by itself and is bounded by the client's time-outs."""

    def __init__(
        self,
        *,
        target: str,
        junction: Junction,
        cohort: Cohort,
        metrics: Metrics,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
    ) -> None:
        self._target = target
        self._junction = junction
        self._cohort = cohort
        self._metrics = metrics
        self._log = log.bind(target=target)
        self._clock = clock

    async def discover(self) -> None:
        """Register every user that the target lists."""
        try:
            found = await discover(self._target, self._junction, self._cohort, self._clock)
        except StoreUnavailable as error:
            self._log.warning(events.DISCOVERY_FAILED, reason=str(error))
        except Exception:  # noqa: BLE001 - the job's border: the next turn tries again
            self._log.exception(events.JOB_CRASHED, job="discover")
        else:
            if found.complete:
                self._log.info(events.DISCOVERY_FINISHED, listed=found.listed, added=found.added)
            else:
                self._log.warning(events.DISCOVERY_FAILED, listed=found.listed, added=found.added, reason=found.failure)

    async def cross_check(self) -> None:
        """Fetch the vendor's own total of errored connections, to be shown beside ours."""
        try:
            self._metrics.reported_errored(self._target, await self._junction.errored_connections())
        except Exception:  # noqa: BLE001 - the job's border: the next turn tries again
            self._log.exception(events.JOB_CRASHED, job="cross_check")

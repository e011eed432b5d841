"""Whether the database answers, told once when it is lost and once when it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core.incidents import Cause
from monitor.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from monitor.errors import StoreError
    from monitor.ports import Metrics


CONFLICT_IS_OUTAGE_AFTER: Final = 30.0
"""Seconds that a job meets nothing but conflicts: then something holds its rows that does not let go by itself."""


class Availability:
    """Shared by all jobs, so that one outage is one line however many of them meet it.

    The database is back when every job that met the outage got through again: a disk that is full fails commits
    and lets claims pass. A conflict with another transaction is no outage, unless it goes on.
    """

    def __init__(
        self, metrics: Metrics, log: FilteringBoundLogger, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._monotonic = monotonic
        self._failing: dict[str, str] = {}
        self._conflicts_since: dict[str, float] = {}

    @property
    def failing(self) -> Mapping[str, str]:
        """Each job that the database did not serve when it last asked, with the driver's words."""
        return self._failing

    def lost(self, job: str, error: StoreError) -> None:
        """Note that the database did not do what ``job`` asked."""
        if isinstance(error, StoreConflict) and not self._is_outage(job):
            return
        self._metrics.database_up(up=False)
        if not self._failing:
            self._log.error(events.DATABASE_LOST, cause=Cause.MONITOR.value, job=job, reason=str(error))
        self._failing[job] = str(error)

    def answered(self, job: str) -> None:
        """Note that the database did what ``job`` asked."""
        self._conflicts_since.pop(job, None)
        if job in self._failing:
            del self._failing[job]
            if not self._failing:
                self._log.info(events.DATABASE_RECOVERED)
        if not self._failing:
            self._metrics.database_up(up=True)

    def _is_outage(self, job: str) -> bool:
        now = self._monotonic()
        return now - self._conflicts_since.setdefault(job, now) >= CONFLICT_IS_OUTAGE_AFTER

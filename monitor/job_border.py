"""The border of a job: whatever its work raises is logged, counted and shown by readiness, and ends nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from monitor import events
from monitor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from structlog.typing import FilteringBoundLogger

    from monitor.availability import Availability
    from monitor.ports import Metrics

CLAIM: Final = "claim"
COMMIT: Final = "commit"
EVALUATE: Final = "evaluate"
_NOTIFY: Final = "notify "
_ALWAYS_NEEDED: Final = frozenset({CLAIM, COMMIT, EVALUATE})


def notify(sink: str) -> str:
    """Return the name of the job that delivers to a sink."""
    return f"{_NOTIFY}{sink}"


class JobBorder:
    """Guards every job of one process and remembers which of them failed when they last ran.

    ``async with border("evaluate"):`` runs one round of a job. :class:`StoreUnavailable` becomes ``database.lost``;
    any other exception is ``job.crashed`` and counts in ``junction_monitor_jobs_crashed_total``. Neither is raised, so
    the next tick runs. Cancellation passes through.
    """

    def __init__(self, availability: Availability, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self.availability = availability
        self._metrics = metrics
        self._log = log
        self._crashed: dict[tuple[str, str | None], str] = {}

    def __call__(self, job: str, *, target: str | None = None) -> Attempt:
        """Return one attempt at a job; a job that runs for each target by itself names its ``target``."""
        return Attempt(self, job, target)

    def failing(self) -> Mapping[str, str]:
        """Return why the process is not ready: each job that did not succeed when it last ran, with the reason.

        Only jobs that every process needs all the time count: claim, commit, evaluate and the delivery to each sink.
        """
        shown = dict(self.availability.failing)
        for (job, target), reason in self._crashed.items():
            shown[job] = reason if target is None else f"target {target}: {reason}"
        return {job: reason for job, reason in shown.items() if job in _ALWAYS_NEEDED or job.startswith(_NOTIFY)}

    def succeeded(self, job: str, target: str | None) -> None:
        """Note that a job did its work."""
        self._crashed.pop((job, target), None)
        self.availability.answered(job)

    def crashed(self, job: str, target: str | None, error: BaseException) -> None:
        """Note that a job failed for a reason that nobody expected."""
        about = {} if target is None else {"target": target}
        self._log.error(events.JOB_CRASHED, job=job, **about, exc_info=error)
        self._metrics.job_crashed(job)
        # The type alone: the text may hold data of the row that could not be handled.
        self._crashed[job, target] = f"crashed: {type(error).__name__}"


class Attempt:
    """One round of a job, awaited or not; afterwards it tells how it ended."""

    def __init__(self, border: JobBorder, job: str, target: str | None) -> None:
        self._border = border
        self._job = job
        self._target = target
        self.succeeded = False
        self.is_database_lost = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Note the end, and keep every exception of the work in here."""
        if error is None:
            self.succeeded = True
            self._border.succeeded(self._job, self._target)
        elif isinstance(error, StoreUnavailable):
            self.is_database_lost = True
            self._border.availability.lost(self._job, error)
        elif isinstance(error, Exception):
            self._border.crashed(self._job, self._target, error)
        return isinstance(error, Exception)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Note the end, and keep every exception of the work in here."""
        return self.__exit__(kind, error, trace)

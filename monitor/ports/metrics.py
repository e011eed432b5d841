"""What the loops tell of their own work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.core.model import Outcome


@dataclass(frozen=True, slots=True)
class Poll:
    """How one poll ended; ``code`` is the HTTP status, or what came instead of one. Times are seconds."""

    outcome: Outcome
    code: str
    took: float
    lag: float


class Metrics(Protocol):
    """What the loops tell of their own work. All calls are cheap and never raise."""

    def polled(self, target: str, polls: Sequence[Poll]) -> None:
        """Polls of a target ended."""
        ...

    def malformed_rows(self, target: str, count: int) -> None:
        """Rows of an answer could not be read."""
        ...

    def detected(self, target: str, delay_seconds: float) -> None:
        """An error was observed this long after the vendor says that it began."""
        ...

    def recovered(self, target: str, seconds: float) -> None:
        """A connection left ``error`` for ``connected`` after this long."""
        ...

    def committed(self, seconds: float) -> None:
        """One commit took this long."""
        ...

    def delivered(self, sink: str, outcome: str, count: int) -> None:
        """Notices were handed to a sink: ``delivered``, ``rolled_up``, or ``failed``; or the monitor ``gave_up``."""
        ...

    def target_up(self, target: str, up: bool) -> None:
        """The target answers us, or rejects us or is out of reach."""
        ...

    def throttle_factor(self, target: str, factor: float) -> None:
        """The share of the configured rate that holds now."""
        ...

    def succeeded(self, target: str, at: datetime) -> None:
        """A good snapshot was committed."""
        ...

    def database_up(self, up: bool) -> None:
        """The database answers, or does not."""
        ...

    def job_crashed(self, job: str) -> None:
        """A job of the monitor ended by an exception that nobody expected."""
        ...

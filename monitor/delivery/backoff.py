"""When something is tried again that failed: soon, then ever later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor.ports import LONGEST_RETRY

if TYPE_CHECKING:
    from datetime import datetime

OF_NOTICE: Final = (timedelta(seconds=5), LONGEST_RETRY)
OF_SINK: Final = (timedelta(seconds=1), timedelta(minutes=1))
"""The first delay and the longest."""


def delay(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return how long to wait after so many attempts in vain, of which there was one at least."""
    doublings: int = 2 ** min(attempts - 1, 30)
    return min(first * doublings, longest)


class Pause:
    """For how long a sink that fails is left alone."""

    def __init__(self) -> None:
        self._failures = 0
        self._length = timedelta(0)
        self._until: datetime | None = None

    def worked(self) -> None:
        """Note an answer: no pause any more."""
        self._failures, self._until = 0, None

    def failed(self, now: datetime, wait: timedelta | None = None) -> datetime:
        """Note a failure, and return when the next attempt is; ``wait`` is what the sink asked for at least."""
        self._failures += 1
        return self.wait(now, max(delay(self._failures, *OF_SINK), wait or timedelta(0)))

    def wait(self, now: datetime, length: timedelta) -> datetime:
        """Leave the sink alone for so long, and return when the next attempt is."""
        self._length, self._until = length, now + length
        return self._until

    def holds(self, now: datetime) -> bool:
        """Whether it is too early; a clock that was set back holds nothing up."""
        return self._until is not None and timedelta(0) < self._until - now <= self._length

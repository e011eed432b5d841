"""The latest time at which a process that shuts down exits, whatever still hangs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class ExitDeadline:
    """Ends the process from a thread of its own: a driver that waits for a frozen server cannot be cancelled in time.

    Nothing is lost by it. Leases pass, and what was not committed or not marked as sent is done again.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def start(self, seconds: float, exit_code: int, last_words: Callable[[], None]) -> None:
        """Exit after so many seconds, after ``last_words`` unless the block ends before."""

        def leave() -> None:
            last_words()
            os._exit(exit_code)

        self._timer = threading.Timer(seconds, leave)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        """Begin the block that may be ended."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note that everything is closed."""
        if self._timer is not None:
            self._timer.cancel()

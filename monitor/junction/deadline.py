"""One deadline for each request, at the cost of none: a timer of the loop for each is a tenth of a poll.

What is in hand is few; it is looked through ten times a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

LOOK_EVERY: Final = 0.1
"""Seconds by which a request may outlast its deadline."""


class Deadlines:
    """Ends what takes longer than ``seconds``: ``with deadlines.one():`` raises :class:`TimeoutError`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open: set[Deadline] = set()
        self._look: asyncio.TimerHandle | None = None

    def one(self) -> Deadline:
        """Return a deadline for the block that it is entered with."""
        return Deadline(self)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on, for as long as anything is open."""
        if self._look is None or self._look.cancelled():
            self._look = loop.call_later(min(LOOK_EVERY, self.seconds / 2), self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look, now = None, loop.time()
        for each in [each for each in self.open if each.at <= now]:
            each.expire()
        if self.open:
            self.watch(loop)


class Deadline:
    """One of them, for the task that enters it."""

    __slots__ = ("_all", "_expired", "_task", "at")

    def __init__(self, deadlines: Deadlines) -> None:
        self._all = deadlines
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        self._task, loop = task, task.get_loop()
        self.at = loop.time() + self._all.seconds
        self._all.open.add(self)
        self._all.watch(loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._all.open.discard(self)
        if self._expired and kind is asyncio.CancelledError and not self._task.uncancel():
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task, which then raises :class:`TimeoutError`."""
        self._all.open.discard(self)
        self._expired = True
        self._task.cancel()

"""Where lines go: a file descriptor whose reader may be slow, stand still or be gone, and what that holds up.

A full pipe blocks whoever writes to it for as long as its reader pleases, so nobody writes who has anything else to do.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = select.PIPE_BUF
"""What a pipe that is ready takes without blocking."""
MOST_WAITING: Final = 10_000
"""Lines that wait at most: some megabytes."""
LAST_WORDS_WITHIN: Final = 1.0
"""Seconds that the end of the process waits for its last lines."""


class Outlet:
    """Writes lines one after the other and each one whole, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._torn = False

    def write(self, line: str, *, within: float | None = None) -> None:
        """Write a line, waiting for the reader ``within`` so many seconds, None for ever.

        Raises:
            OSError: the reader is gone, or did not read in time.
        """
        until = None if within is None else time.monotonic() + within
        if not self._lock.acquire(timeout=-1 if within is None else within):
            raise TimeoutError("nobody reads the log")
        try:
            # What follows a line that was broken off begins on a line of its own.
            begin = "\n" if self._torn else ""
            self._put(f"{begin}{line}\n".encode("utf-8", "replace"), until)
        finally:
            self._lock.release()

    def _put(self, data: bytes, until: float | None) -> None:
        sent = 0
        try:
            while sent < len(data):
                self._await_reader(until)
                sent += os.write(self._descriptor, data[sent : sent + CHUNK])
        finally:
            self._torn = 0 < sent < len(data) or (self._torn and not sent)

    def _await_reader(self, until: float | None) -> None:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        left = None if until is None else max(0.0, until - time.monotonic()) * 1000
        if not waiting.poll(left):
            raise TimeoutError("nobody reads the log")


class Background:
    """Writes lines in a thread of its own; what more waits than can be kept is dropped, counted and told."""

    def __init__(self, outlet: Outlet, lost: Callable[[int], None]) -> None:
        """Start the thread; ``lost`` is told how many lines were dropped, once lines are written again."""
        self._outlet = outlet
        self._tell_lost = lost
        self._lines: queue.Queue[str] = queue.Queue(MOST_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether lines are still written; if not, its exception went to standard error."""
        return self._thread.is_alive()

    def write(self, line: str) -> None:
        """Take a line at once."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def finish(self) -> None:
        """Wait a moment for what was taken to be written."""
        until = time.monotonic() + LAST_WORDS_WITHIN
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._outlet.write(line)
            except OSError:
                self._lost += 1
            else:
                self._say_what_was_lost()
            finally:
                self._lines.task_done()

    def _say_what_was_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._tell_lost(lost)

"""The background tasks that the daemon needs: each runs until it is told to stop, and no end goes unseen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor import events

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from structlog.typing import FilteringBoundLogger

    from monitor.ports import Metrics


class Supervisor:
    """Starts tasks and knows which of them ended although nobody stopped them.

    An unexpected end is logged as ``task.ended`` and counts in ``junction_monitor_jobs_crashed_total``; from then on
    :meth:`ended` names the task, so that ``/healthz`` does. Without an ``essential`` task the daemon cannot go on:
    its end calls ``on_essential_end``.
    """

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger, on_essential_end: Callable[[], None]) -> None:
        self._metrics = metrics
        self._log = log
        self._on_essential_end = on_essential_end
        self._ended: dict[str, None] = {}
        self._threads: dict[str, Callable[[], bool]] = {}
        self._stopping = False
        self.has_essential_ended = False

    def ended(self) -> list[str]:
        """Return the names of tasks and threads that ended unexpectedly, in the order of their ends."""
        self.check_threads()
        return list(self._ended)

    def start(self, name: str, work: Coroutine[object, object, None], *, essential: bool = False) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(work, name=name)
        self.watch(name, task, essential=essential)
        return task

    def watch(self, name: str, task: asyncio.Task[None], *, essential: bool = False) -> None:
        """Watch a task that was started elsewhere."""
        task.add_done_callback(lambda done: self._note_task_end(name, done, essential=essential))

    def watch_thread(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Watch a thread; it is looked at whenever :meth:`check_threads` is called."""
        self._threads[name] = is_alive

    def check_threads(self) -> None:
        """Note threads that ended since the last look."""
        for name, is_alive in self._threads.items():
            if name not in self._ended and not is_alive():
                self._note_end(name, None)

    def expect_ends(self) -> None:
        """Note that the daemon shuts down: from now on tasks may return or be cancelled, but not raise."""
        self._stopping = True

    def _note_task_end(self, name: str, task: asyncio.Task[None], *, essential: bool) -> None:
        error = None if task.cancelled() else task.exception()
        if self._stopping and error is None:
            return
        self._note_end(name, error)
        if essential:
            self.has_essential_ended = True
            self._on_essential_end()

    def _note_end(self, name: str, error: BaseException | None) -> None:
        self._log.error(events.TASK_ENDED, task=name, exc_info=error)
        self._metrics.job_crashed(name)
        self._ended[name] = None


def on_end(task: asyncio.Task[None], act: Callable[[BaseException | None], None]) -> None:
    """Call ``act`` with the exception, or None, when a task ends that was not cancelled."""

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled():
            act(done.exception())

    task.add_done_callback(ended)

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
    :attr:`ended` names the task, so that ``/healthz`` does.
    """

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log
        self._ended: dict[str, None] = {}
        self._essential_ended = asyncio.Event()
        self._stopping = False

    @property
    def ended(self) -> list[str]:
        """The names of tasks that ended unexpectedly, in the order of their ends."""
        return list(self._ended)

    def start(self, name: str, work: Coroutine[object, object, None], *, essential: bool = False) -> asyncio.Task[None]:
        """Start a task; without an ``essential`` one the daemon cannot go on."""
        task = asyncio.create_task(work, name=name)
        self.watch(name, task, essential=essential)
        return task

    def watch(self, name: str, task: asyncio.Task[None], *, essential: bool = False) -> None:
        """Watch a task that was started elsewhere."""
        task.add_done_callback(lambda done: self._note_end(name, done, essential=essential))

    def expect_ends(self) -> None:
        """Note that the daemon stops: from now on tasks may return or be cancelled, but not raise."""
        self._stopping = True

    async def wait_for_essential_end(self) -> None:
        """Return when a task ended without which the daemon cannot go on."""
        await self._essential_ended.wait()

    def note_crash(self, name: str, error: BaseException | None) -> None:
        """Note that something the daemon needs has ended, with its exception where there is one."""
        self._log.error(events.TASK_ENDED, task=name, exc_info=error)
        self._metrics.job_crashed(name)
        self._ended[name] = None

    def _note_end(self, name: str, task: asyncio.Task[None], *, essential: bool) -> None:
        error = None if task.cancelled() else task.exception()
        if self._stopping and error is None:
            return
        self.note_crash(name, error)
        if essential:
            self._essential_ended.set()


def on_end(task: asyncio.Task[None], act: Callable[[BaseException | None], None]) -> None:
    """Call ``act`` with the exception, or None, when a task ends that was not cancelled."""

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled():
            act(done.exception())

    task.add_done_callback(ended)

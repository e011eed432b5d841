"""Where the tasks of a loop wait, and what is cut off there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = "/monitor/"


class Steps(Coroutine[Any, Any, Any]):
    """A coroutine that says so whenever it has begun to wait, with what tells where."""

    def __init__(self, work: Coroutine[Any, Any, Any], reach: Callable[[Callable[[], str]], None]) -> None:
        self._work = work
        self._reach = reach

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        waits_for = self._work.send(value)
        self._reach(self._where)
        return waits_for

    def throw(self, *fault: Any) -> Any:
        """Go on with a fault."""
        waits_for = self._work.throw(*fault)
        self._reach(self._where)
        return waits_for

    def close(self) -> None:
        """Go on no more."""
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()

    def _where(self) -> str:
        """Return the innermost place of ours that waits."""
        place = ""
        waiting: Any = self._work
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None)
            if frame is not None and HERE in frame.f_code.co_filename:
                place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
            waiting = getattr(waiting, "cr_await", None)
        return place


class Cut:
    """Cancels what it runs where it waits for the ``at``-th time."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Return whether it was cut off before it came to its end."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(partial(_counted, self))
        try:
            self._task = asyncio.create_task(work)
            await asyncio.wait([self._task])
        finally:
            loop.set_task_factory(None)
        return self._task.cancelled()

    def reach(self, _: object) -> None:
        """Count one wait."""
        self._left -= 1
        if self._left == 0 and self._task is not None:
            self._task.cancel()


def _counted(cut: Cut, loop: asyncio.AbstractEventLoop, work: Any, **context: Any) -> asyncio.Task[Any]:
    return asyncio.Task(Steps(work, cut.reach), loop=loop, **context)

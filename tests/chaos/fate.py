"""A daemon that ends at one point of its work: in the child process it runs in, by SIGKILL.

Points are counted from its start. With ``statements`` they lie before and after every statement, and before and after
every commit, so that also the answer to a COMMIT is lost; with ``awaits`` they are where a task of the loop waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

from monitor.app.daemon import Daemon
from monitor.app.exit_deadline import ExitDeadline
from monitor.app.opening import run_in_loop
from monitor.config import load
from tests.chaos.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Fate:
    """Counts points, and at the last one leaves a line that says where that was, and kills this process."""

    def __init__(self, at: int, epitaphs: Path) -> None:
        self._left = at
        self._epitaphs = os.open(epitaphs, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def reach(self, where: str | Callable[[], str]) -> None:
        """Pass a point, or not."""
        self._left -= 1
        if self._left == 0:
            self._die(where if isinstance(where, str) else where())

    def _die(self, where: str) -> NoReturn:
        os.write(self._epitaphs, f"{where}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def live(kind: str, at: int, environ: Mapping[str, str], cwd: Path) -> None:
    """Run a daemon in this process, which should be a child with nothing else to do, until its fate."""
    os.chdir(cwd)
    log = os.open(cwd / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    fate = Fate(at, cwd / f"{kind}.txt")
    if kind == "statements":
        _watch_statements(fate)
    run_in_loop(_run(Daemon(load(None, environ), ExitDeadline()), fate if kind == "awaits" else None))


async def _run(daemon: Daemon, fate: Fate | None) -> int:
    if fate is not None:
        asyncio.get_running_loop().set_task_factory(partial(_mortal, fate))
    return await daemon.run()


def _watch_statements(fate: Fate) -> None:
    commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

    def do_commit(self: DefaultDialect, connection: Any) -> None:
        fate.reach("before COMMIT")
        commit(self, connection)
        fate.reach("after COMMIT")

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # no event comes after a commit
    event.listen(Engine, "before_cursor_execute", lambda _, __, said, *___: fate.reach(f"before {_head(said)}"))
    event.listen(Engine, "after_cursor_execute", lambda _, __, said, *___: fate.reach(f"after {_head(said)}"))


def _head(statement: str) -> str:
    return " ".join(statement.split())[:60]


def _mortal(fate: Fate, loop: asyncio.AbstractEventLoop, work: Any, **context: Any) -> asyncio.Task[Any]:
    return asyncio.Task(Steps(work, fate.reach), loop=loop, **context)

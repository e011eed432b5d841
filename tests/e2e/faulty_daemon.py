"""``monitor run`` with a bug in one of its background tasks or jobs: ``python -m tests.e2e.faulty_daemon TASK``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from monitor.cli import main
from monitor.delivery import Courier
from monitor.evaluator import EvaluationLoop, Evaluator
from monitor.poller import Poller
from monitor.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS: Final[dict[str, tuple[type, str]]] = {
    "clock watch": (Scheduler, "watch_clock"),
    "poll": (Poller, "_work"),
    "commit": (Poller, "_keep_committing"),
    "evaluate": (EvaluationLoop, "_decide"),
    "notify": (Courier, "_round"),
    "every evaluation": (Evaluator, "decide"),
}
"""What is replaced by work that fails after a while."""


async def fail_after_a_while(*_: object) -> None:
    """Work for a moment, then end as nobody expected."""
    await asyncio.sleep(1)
    raise ZeroDivisionError


def start(task: str, run: Callable[[], None] = main) -> None:
    """Run the daemon with this task failing."""
    owner, name = TASKS[task]
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more"
    setattr(owner, name, fail_after_a_while)
    sys.argv[1:] = ["run"]
    run()


if __name__ == "__main__":
    start(sys.argv[1])

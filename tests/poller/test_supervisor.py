"""Background tasks that end, expected or not; each with the real class that could end unseen."""

from __future__ import annotations

import asyncio
import threading

import pytest
import structlog
from structlog.testing import LogCapture

from monitor.scheduler import Scheduler
from monitor.supervisor import Supervisor
from tests.poller.world import Recorded
from tests.server.world import World


class Supervised:
    """A supervisor, and what it told."""

    def __init__(self) -> None:
        self.metrics, self.logs = Recorded(), LogCapture()
        self.is_over = asyncio.Event()
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])
        self.supervisor = Supervisor(self.metrics, log, on_essential_end=self.is_over.set)

    def said(self) -> list[tuple[str, str]]:
        """Return task and exception of each line."""
        return [(each["task"], type(each["exc_info"]).__name__) for each in self.logs.entries]


@pytest.fixture
async def supervised() -> Supervised:
    """Give a supervisor in the running loop."""
    return Supervised()


async def fail() -> None:
    """End as nobody expected."""
    raise ZeroDivisionError


async def test_an_unexpected_end_is_a_line_a_count_and_a_name(supervised: Supervised) -> None:
    """The daemon goes on where it can."""
    task = supervised.supervisor.start("clock watch", fail())
    await asyncio.wait({task})
    assert supervised.said() == [("clock watch", "ZeroDivisionError")]
    assert supervised.metrics.of("job_crashed") == [("clock watch",)]
    assert supervised.supervisor.ended() == ["clock watch"]
    assert not supervised.is_over.is_set()


async def test_the_end_of_an_essential_task_ends_the_daemon(supervised: Supervised) -> None:
    """It exits with 1."""
    supervised.supervisor.start("poll", fail(), essential=True)
    await asyncio.wait_for(supervised.is_over.wait(), 1)
    assert supervised.supervisor.has_essential_ended


async def test_a_task_that_is_cancelled_from_elsewhere_has_ended_too(supervised: Supervised) -> None:
    """An end without an exception is no better."""
    task = supervised.supervisor.start("poll", asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert supervised.supervisor.ended() == ["poll"]


async def test_an_end_at_shutdown_is_expected(supervised: Supervised) -> None:
    """Tasks that were told to stop return or are cancelled; one that raises is told all the same."""
    supervised.supervisor.expect_ends()
    tasks = [supervised.supervisor.start("poll", asyncio.sleep(0)), supervised.supervisor.start("notify", fail())]
    await asyncio.wait(tasks)
    assert supervised.supervisor.ended() == ["notify"]


async def test_a_thread_that_ended_is_named_once(supervised: Supervised) -> None:
    """However often health is asked for."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    supervised.supervisor.watch_thread("log", thread.is_alive)
    thread.join()
    assert [supervised.supervisor.ended() for _ in range(2)] == [["log"]] * 2
    assert supervised.metrics.of("job_crashed") == [("log",)]


async def test_the_clock_watch_that_crashes_is_seen(supervised: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was that it told raised."""
    monkeypatch.setattr("monitor.scheduler.LOOK_AT_CLOCK_EVERY", 0.01)
    monkeypatch.setattr("monitor.scheduler.STEP", -1.0)

    async def stepped(_: float) -> None:
        raise ZeroDivisionError

    scheduler = Scheduler()
    task = supervised.supervisor.start("clock watch", scheduler.watch_clock(stepped))
    await asyncio.wait({task}, timeout=1)
    assert supervised.supervisor.ended() == ["clock watch"]


async def test_a_server_that_stops_listening_is_seen(supervised: Supervised) -> None:
    """A probe gets no answer then, and the daemon exits."""
    server = World().server()
    await server.start()
    supervised.supervisor.watch("http server", server.task, essential=True)
    server._server.should_exit = True
    await asyncio.wait_for(supervised.is_over.wait(), 5)
    assert supervised.supervisor.ended() == ["http server"]
    await server.stop()


async def test_a_server_that_crashes_can_be_stopped(supervised: Supervised) -> None:
    """What it raised is told by the supervisor, and is no reason to leave the rest open."""

    async def main_loop() -> None:
        raise ZeroDivisionError

    server = World().server()
    server._server.main_loop = main_loop  # type: ignore[method-assign]  # as a bug in the library would
    await server.start()
    supervised.supervisor.watch("http server", server.task, essential=True)
    await asyncio.wait_for(supervised.is_over.wait(), 5)
    await server.stop()
    assert supervised.said() == [("http server", "ZeroDivisionError")]

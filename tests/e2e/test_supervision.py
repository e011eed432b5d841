"""A background task of the real daemon that ends unexpectedly is never unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.oncall import free_port
from tests.e2e.processes import stand
from tests.e2e.test_log_blocked import metric, until

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = {"users": 3, "seed": 1, "changes": {"per_second": 0}}
ROOT = Path(__file__).parents[2]


@contextmanager
def faulty(tmp_path: Path, database: str, task: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a daemon in which one task fails after a second; give the process and its port."""
    port, log = free_port(), tmp_path / "daemon.log"
    with stand(tmp_path, database, QUIET) as stage, log.open("wb") as out:
        environ = {**stage.environ, "MONITOR_HTTP__PORT": str(port), "PYTHONPATH": os.fspath(ROOT)}
        command = [sys.executable, "-m", "tests.e2e.faulty_daemon", task]
        with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=out) as process:
            try:
                yield process, port
            finally:
                process.kill()


def lines(tmp_path: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of one event."""
    found = [json.loads(line) for line in (tmp_path / "daemon.log").read_text().splitlines()]
    return [each for each in found if each["event"] == event]


def health(port: int, page: str = "healthz") -> dict[str, Any]:
    """Return what a health page says, nothing while nobody answers."""
    try:
        found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/{page}", trust_env=False).json()
    except httpx.HTTPError:
        return {}
    return found


def test_a_watcher_that_dies_turns_health_red_while_polling_goes_on(tmp_path: Path, sqlite_url: str) -> None:
    """The log has its exception, and a metric counts it."""
    with faulty(tmp_path, sqlite_url, "clock watch") as (process, port):
        until(lambda: health(port) == {"alive": False, "failing": ["clock watch"]})
        (line,) = lines(tmp_path, "task.ended")
        assert line["task"] == "clock watch"
        assert "ZeroDivisionError" in line["exception"]
        assert metric(port, 'junction_monitor_jobs_crashed_total{job="clock watch"}') == 1
        before = metric(port, "junction_monitor_polls_total")
        until(lambda: metric(port, "junction_monitor_polls_total") > before)
        assert process.poll() is None


def test_a_job_that_crashes_makes_the_daemon_unready_and_ends_nothing(tmp_path: Path, sqlite_url: str) -> None:
    """The database answers and every loop runs, but the work does not succeed: readiness says so."""
    with faulty(tmp_path, sqlite_url, "every evaluation") as (process, port):
        crashed = {"evaluate": "crashed: ZeroDivisionError"}
        until(lambda: health(port, "readyz") == {"ready": False, "failing": crashed})
        assert health(port) == {"alive": True, "failing": []}
        assert metric(port, 'junction_monitor_jobs_crashed_total{job="evaluate"}') >= 1
        environ = {"PATH": os.environ["PATH"], "MONITOR_HTTP__PORT": str(port), "PYTHONPATH": os.fspath(ROOT)}
        command = [sys.executable, "-m", "monitor", "health", "--ready"]
        probe = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert probe.returncode == 1
        assert "the daemon is not ready: evaluate: crashed: ZeroDivisionError" in probe.stderr
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("task", "named"), [("poll", "poll"), ("commit", "poll"), ("evaluate", "evaluate"), ("notify", "notify")]
)
def test_a_daemon_without_one_of_its_loops_exits_with_1(tmp_path: Path, sqlite_url: str, task: str, named: str) -> None:
    """It finishes what it can first, and whatever runs it starts it anew."""
    with faulty(tmp_path, sqlite_url, task) as (process, _):
        assert process.wait(30) == 1
    assert [each["task"] for each in lines(tmp_path, "task.ended")] == [named]
    assert [each["exit_code"] for each in lines(tmp_path, "monitor.stopped")] == [1]

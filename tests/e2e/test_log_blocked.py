"""A log that nobody reads, or that nobody can read any more, holds up nothing but itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from monitor import events
from tests.e2e.oncall import free_port
from tests.e2e.processes import stand
from tests.logs.test_outlet import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.processes import Stand

WORLD = {"users": 20, "seed": 3, "changes": {"per_second": 4, "rest": 1}}


def metric(port: int, name: str, headers: Mapping[str, str] | None = None) -> float:
    """Return the sum of a metric of the daemon; 0 where it does not answer yet."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, trust_env=False, timeout=5).text
    except httpx.HTTPError:
        return 0
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def until(condition: Any, within: float = 30) -> None:
    """Return once ``condition`` holds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe that is full."""
    reading, writing = os.pipe()
    fill(writing)
    yield reading, writing
    os.close(writing)


def daemon(stage: Stand, port: int, out: int) -> subprocess.Popen[bytes]:
    """Start a daemon that logs into a pipe."""
    command = [sys.executable, "-m", "monitor", "run"]
    return subprocess.Popen(command, cwd=stage.cwd, env={**stage.environ, "MONITOR_HTTP__PORT": str(port)}, stdout=out)


def test_polling_goes_on_while_nobody_reads_the_log(tmp_path: Path, sqlite_url: str, pipe: tuple[int, int]) -> None:
    """Alerts wait in the database meanwhile; when the log is read again, all of them come."""
    port = free_port()
    with stand(tmp_path, sqlite_url, WORLD) as stage, daemon(stage, port, pipe[1]) as running:
        until(lambda: metric(port, "junction_monitor_polls_total") > 100)
        until(lambda: metric(port, "junction_monitor_alerts_undelivered") > 0)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
        stage.control("freeze")
        os.set_blocking(pipe[0], False)
        read = bytearray()

        def told() -> bool:
            with suppress(BlockingIOError):
                read.extend(os.read(pipe[0], 1 << 20))
            return metric(port, "junction_monitor_alerts_undelivered") == 0

        until(told)
        running.send_signal(signal.SIGTERM)
        until(lambda: told() or running.poll() is not None)
        assert running.wait(20) == 0
    lines = [json.loads(line) for line in read.decode().lstrip(".").splitlines()]
    assert events.CONNECTION_ALERT in {each["event"] for each in lines}


def test_polling_goes_on_when_the_reader_of_the_log_is_gone(
    tmp_path: Path, sqlite_url: str, pipe: tuple[int, int]
) -> None:
    """Nothing is written any more, and nothing ends."""
    port = free_port()
    os.close(pipe[0])
    with stand(tmp_path, sqlite_url, WORLD) as stage, daemon(stage, port, pipe[1]) as running:
        until(lambda: metric(port, "junction_monitor_polls_total") > 100)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0

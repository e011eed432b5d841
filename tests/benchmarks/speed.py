"""Polls per second: beside other clients on one core, against the size of the cohort, and against replicas."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xxhash import xxh3_128_digest

from monitor.store import Schema
from tests.benchmarks import ours
from tests.benchmarks.ours import TARGET, Setting
from tests.benchmarks.upstream import body
from tests.store.crowd import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Server

FAST, SLOW, LATENCY = 18470, 18471, 0.05
OURS, THEIRS = 0, 1
"""The core of whoever asks, and that of all others: the upstream and PostgreSQL."""
PER_REPLICA: Final = 25
SMALL: Final = 20_000
"""Users of the speed test: more than can be polled in the interval of 1 s, so that some are always due."""


@contextmanager
def upstream(port: int, latency: float) -> Iterator[None]:
    """Run the cheap server on the other core."""
    command = [sys.executable, "-m", "tests.benchmarks.upstream", str(port), str(latency)]
    with subprocess.Popen(command) as process:
        os.sched_setaffinity(process.pid, {THEIRS})
        time.sleep(1)
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def crowd(server: Server, users: int) -> Iterator[str]:
    """Give a database in which ``users`` were seen with the upstream's answer, all of them due by now."""
    with server.database() as url:
        Schema(url).upgrade()
        earlier = datetime.now(UTC) - timedelta(minutes=20)
        fill(url, users=users, now=earlier, digest=xxh3_128_digest(body()), target=TARGET)
        yield url


def rival(name: str, in_flight: int, seconds: float) -> float:
    """Measure another client, in a process of its own on our core."""
    command = [sys.executable, "-m", "tests.benchmarks.rivals", name, str(FAST), str(in_flight), str(seconds)]
    done = subprocess.run(["taskset", "-c", str(OURS), *command], check=True, capture_output=True, text=True)
    return float(done.stdout)


def on_sqlite(upstream_port: int, in_flight: int, seconds: float) -> float:
    """Measure the daemon on SQLite."""
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(
            directory=Path(directory),
            database=f"sqlite:///{directory}/bench.db",
            upstream=upstream_port,
            concurrency=in_flight,
            core=OURS,
        )
        setting.run("cohort", "import", "-", given="\n".join(ours.member_ids(SMALL)))
        with ours.daemon(setting):
            ours.wait_for(SMALL * 1.5, setting.port)
            return ours.rate(seconds, setting.port)


def on_postgres(database: str, upstream_port: int, in_flight: int, seconds: float) -> tuple[float, float]:
    """Measure the daemon on PostgreSQL; return polls per second and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(
            directory=Path(directory), database=database, upstream=upstream_port, concurrency=in_flight, core=OURS
        )
        with ours.daemon(setting) as process:
            ours.wait_for(2_000, setting.port)
            return ours.rate(seconds, setting.port), ours.peak_memory(process)


def replicas(server: Server, number: int, seconds: float) -> float:
    """Measure so many replicas together, each with few requests in flight to an upstream that takes its time."""
    with crowd(server, 5_000) as url, tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        settings = [
            Setting(
                directory=Path(directory),
                database=url,
                upstream=SLOW,
                concurrency=PER_REPLICA,
                port=18480 + each,
                core=None,
            )
            for each in range(number)
        ]
        for each in settings:
            stack.enter_context(ours.daemon(each))
        ports = [each.port for each in settings]
        ours.wait_for(500 * number, *ports)
        return ours.rate(seconds, *ports)

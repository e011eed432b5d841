"""``make bench``: polls per second and memory, ours and others', from one run; writes RESULTS.md beside this file.

The upstream has a core to itself, whoever asks has the other. Rounds are interleaved and medians are quoted, since
machines are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST, SLOW, LATENCY = 18470, 18471, 0.05
HTTP_PORT: Final = 18472
RESULTS: Final = Path(__file__).with_name("RESULTS.md")
PARTS: Final = ("httpx", "httpx-aiohttp", "aiohttp", "junction-api-sdk", "sqlalchemy", "aiosqlite", "uvloop", "msgspec")


@dataclass
class Measured:
    """Requests per second by client and load, a value a round; memory by cohort in MiB."""

    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)

    def add(self, client: str, load: str, rate: float) -> None:
        """Keep one round's rate and show it."""
        self.rates.setdefault((client, load), []).append(rate)
        sys.stderr.write(f"  {client:8} {load:12} {rate:10,.0f}/s\n")

    def median(self, client: str, load: str) -> float:
        """Return the median over rounds."""
        return statistics.median(self.rates[client, load])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--quick", action="store_true", help="one short round, no memory at 100,000 users")
    options = parser.parse_args()
    rounds, seconds = (1, 3.0) if options.quick else (3, 6.0)
    measured = Measured()
    with upstream(FAST, 0), upstream(SLOW, LATENCY):
        for _ in range(rounds):
            for name in ("httpx", "sdk"):
                measured.add(name, "32, 0 ms", rival(name, FAST, 32, seconds))
            measured.add("monitor", "32, 0 ms", monitor(FAST, 32, seconds))
            measured.add("monitor", "100, 50 ms", monitor(SLOW, 100, seconds))
        for users in (1_000,) if options.quick else (1_000, 10_000, 100_000):
            measured.memory[users] = memory(users)
    text = report(measured, rounds, seconds)
    RESULTS.write_text(text)
    sys.stdout.write(text)


def rival(name: str, port: int, in_flight: int, seconds: float) -> float:
    """Measure another client, in a process of its own on our core."""
    command = [sys.executable, "-m", "tests.benchmarks.rivals", name, str(port), str(in_flight), str(seconds)]
    done = subprocess.run(["taskset", "-c", "0", *command], check=True, capture_output=True, text=True)
    return float(done.stdout)


def monitor(port: int, in_flight: int, seconds: float) -> float:
    """Measure the daemon with a cohort that is always due."""
    users = 8_000
    with (
        tempfile.TemporaryDirectory() as directory,
        ours.daemon(
            Path(directory), upstream=port, users=users, concurrency=in_flight, interval="1s", port=HTTP_PORT, core=0
        ),
    ):
        ours.wait_for(HTTP_PORT, users * 1.2)
        return ours.rate(HTTP_PORT, seconds)


def memory(users: int) -> float:
    """Return the daemon's peak memory in MiB after as many polls as the largest cohort needs for a round."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ours.daemon(
            Path(directory), upstream=FAST, users=users, concurrency=32, interval="1s", port=HTTP_PORT, core=0
        ) as process,
    ):
        ours.wait_for(HTTP_PORT, 120_000)
        return ours.peak_memory(process)


@contextmanager
def upstream(port: int, latency: float) -> Iterator[None]:
    """Run the cheap server on the other core."""
    command = [sys.executable, "-m", "tests.benchmarks.upstream", str(port), str(latency)]
    with subprocess.Popen(command) as process:
        os.sched_setaffinity(process.pid, {1})
        time.sleep(1)
        try:
            yield
        finally:
            process.terminate()


def report(measured: Measured, rounds: int, seconds: float) -> str:
    """Return the table as Markdown."""
    us, slow = measured.median("monitor", "32, 0 ms"), measured.median("monitor", "100, 50 ms")
    plain, sdk = measured.median("httpx", "32, 0 ms"), measured.median("sdk", "32, 0 ms")
    ceiling = 100 / LATENCY
    rows = [
        ("32 in flight, no latency", "bare `httpx.AsyncClient` loop", plain, ""),
        ("32 in flight, no latency", "vendor's SDK over aiohttp", sdk, ""),
        (
            "32 in flight, no latency",
            "**monitor**, end to end on SQLite",
            us,
            f"{us / plain:.1f} times httpx, {us / sdk:.2f} times the SDK",
        ),
        (
            "100 in flight, 50 ms",
            "**monitor**, end to end on SQLite",
            slow,
            f"{slow / ceiling:.1%} of in flight ÷ latency ({ceiling:,.0f}/s)",
        ),
    ]
    made = (
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, {', '.join(f'{each} {version(each)}' for each in PARTS)}."
    )
    how = (
        f"One client on one core, a cheap server on the other, {rounds} interleaved rounds of {seconds:g} s, medians. "
        "The monitor is the real daemon: claim, request, digest, commit and metrics. Memory is its peak over 120,000 "
        "polls at an interval of 1 s: 1,000 users ask for 1,000 polls/s, the larger cohorts for all it can do, and "
        "what is in hand follows the polls per second, not the cohort."
    )
    speeds = [f"| {load} | {client} | {rate:,.0f} | {remark} |" for load, client, rate, remark in rows]
    sizes = [f"| {users:,} | {mebibytes:.0f} MiB |" for users, mebibytes in measured.memory.items()]
    speed = ["| load | client | per second | |", "|---|---|---:|---|", *speeds, ""]
    size = ["| cohort | peak memory of the daemon |", "|---:|---:|", *sizes, ""]
    return "\n".join(["# Results", "", made, "", how, "", *speed, *size])


if __name__ == "__main__":
    main()

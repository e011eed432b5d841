"""The monitor itself, the real process on a real database, measured from outside through its own ``/metrics``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

POLLS: Final = re.compile(r'^junction_monitor_polls_total\{[^}]*outcome="(\w+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
NAMESPACE: Final = uuid.UUID("0b7e7d2e-52f4-4c0c-9d38-5d7e5d1f3a11")


def member_ids(count: int) -> Iterator[str]:
    """Yield always the same user ids."""
    return (str(uuid.uuid5(NAMESPACE, str(number))) for number in range(count))


@contextmanager
def daemon(
    directory: Path, *, upstream: int, users: int, concurrency: int, interval: str, port: int, core: int
) -> Iterator[psutil.Process]:
    """Run the daemon with a cohort of ``users`` on one core until the block ends; then it must exit 0."""
    environ = {
        "PATH": os.environ["PATH"],
        "MONITOR_TARGETS__BENCH__API_KEY": "sk_us_bench",
        "MONITOR_TARGETS__BENCH__BASE_URL": f"http://127.0.0.1:{upstream}",
        "MONITOR_TARGETS__BENCH__MAX_REQUESTS_PER_SECOND": "1000000",
        "MONITOR_POLL__INTERVAL": interval,
        "MONITOR_POLL__CONCURRENCY": str(concurrency),
        "MONITOR_DATABASE__URL": f"sqlite:///{directory / 'bench.db'}",
        "MONITOR_HTTP__PORT": str(port),
        "PYTHONPATH": str(Path.cwd()),
    }
    command = [sys.executable, "-m", "monitor"]
    ids = "\n".join(member_ids(users))
    subprocess.run([*command, "cohort", "import", "-"], input=ids, text=True, env=environ, cwd=directory, check=True)
    with subprocess.Popen([*command, "run"], env=environ, cwd=directory, stdout=subprocess.DEVNULL) as process:
        os.sched_setaffinity(process.pid, {core})
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                msg = f"the daemon exited with {process.returncode}"
                raise RuntimeError(msg)


def polls(port: int) -> dict[str, float]:
    """Return the polls by outcome so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return {outcome: float(value) for outcome, value in POLLS.findall(answer.read().decode())}


def wait_for(port: int, count: float, within: float = 300) -> None:
    """Return once ``count`` polls were committed."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if sum(polls(port).values()) >= count:
                return
        except OSError:
            pass
        time.sleep(0.2)
    msg = f"fewer than {count:g} polls within {within:g} s"
    raise RuntimeError(msg)


def rate(port: int, seconds: float) -> float:
    """Return committed unchanged polls per second over a while; any other outcome is a fault of the measurement."""
    before, began = polls(port), time.perf_counter()
    time.sleep(seconds)
    after, ended = polls(port), time.perf_counter()
    moved = {outcome: after[outcome] - before.get(outcome, 0.0) for outcome in after}
    if sum(moved.values()) != moved["unchanged"]:
        msg = f"not all polls were good: {moved}"
        raise RuntimeError(msg)
    return moved["unchanged"] / (ended - began)


def peak_memory(process: psutil.Process) -> float:
    """Return the most resident memory that the process ever had, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024

"""The monitor itself, the real process on a real database, measured from outside through its own ``/metrics``."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

POLLS: Final = re.compile(r'^junction_monitor_polls_total\{[^}]*outcome="(\w+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
NAMESPACE: Final = uuid.UUID("0b7e7d2e-52f4-4c0c-9d38-5d7e5d1f3a11")
TARGET: Final = "bench"


def member_ids(count: int) -> Iterator[str]:
    """Yield always the same user ids."""
    return (str(uuid.uuid5(NAMESPACE, str(number))) for number in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a daemon is run: against which upstream port, on which database, and with which core to itself (or any)."""

    directory: Path
    database: str
    upstream: int
    concurrency: int = 32
    interval: str = "1s"
    port: int = 18480
    core: int | None = 0

    def environ(self) -> dict[str, str]:
        """Return the whole configuration."""
        return {
            "PATH": os.environ["PATH"],
            f"MONITOR_TARGETS__{TARGET.upper()}__API_KEY": "sk_us_bench",
            f"MONITOR_TARGETS__{TARGET.upper()}__BASE_URL": f"http://127.0.0.1:{self.upstream}",
            f"MONITOR_TARGETS__{TARGET.upper()}__MAX_REQUESTS_PER_SECOND": "1000000",
            "MONITOR_POLL__INTERVAL": self.interval,
            "MONITOR_POLL__CONCURRENCY": str(self.concurrency),
            "MONITOR_DATABASE__URL": self.database,
            "MONITOR_DATABASE__AUTO_MIGRATE": "true",
            "MONITOR_HTTP__PORT": str(self.port),
            "PYTHONPATH": str(Path.cwd()),
        }

    def run(self, *arguments: str, given: str | None = None, terminal: bool = False) -> float:
        """Run a command to its end and return the seconds that it took as a whole process."""
        command, began = [sys.executable, "-m", "monitor", *arguments], time.perf_counter()
        if terminal:
            command = ["script", "--quiet", "--return", "--command", shlex.join(command), "/dev/null"]
        subprocess.run(
            command, input=given, text=True, env=self.environ(), cwd=self.directory, check=True, capture_output=True
        )
        return time.perf_counter() - began


@contextmanager
def daemon(setting: Setting) -> Iterator[psutil.Process]:
    """Run the daemon until the block ends; then it must exit 0."""
    command = [sys.executable, "-m", "monitor", "run"]
    with subprocess.Popen(command, env=setting.environ(), cwd=setting.directory, stdout=subprocess.DEVNULL) as process:
        if setting.core is not None:
            os.sched_setaffinity(process.pid, {setting.core})
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                msg = f"the daemon exited with {process.returncode}"
                raise RuntimeError(msg)


def scrape(port: int) -> str:
    """Return what the daemon exports."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def polls(*ports: int) -> dict[str, float]:
    """Return the polls by outcome so far, of all daemons together."""
    counted: dict[str, float] = {}
    for port in ports:
        for outcome, value in POLLS.findall(scrape(port)):
            counted[outcome] = counted.get(outcome, 0) + float(value)
    return counted


def wait_for(count: float, *ports: int, within: float = 300) -> None:
    """Return once ``count`` polls were committed."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if sum(polls(*ports).values()) >= count:
                return
        except OSError:
            pass
        time.sleep(0.2)
    msg = f"fewer than {count:g} polls within {within:g} s"
    raise RuntimeError(msg)


def rate(seconds: float, *ports: int) -> float:
    """Return committed unchanged polls per second over a while; any other outcome is a fault of the measurement."""
    before, began = polls(*ports), time.perf_counter()
    time.sleep(seconds)
    after, ended = polls(*ports), time.perf_counter()
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

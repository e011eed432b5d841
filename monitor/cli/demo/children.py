"""The demonstration's processes: a simulated Junction and the monitor, as a person would start them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

STARTS_WITHIN: Final = 30.0
ENDS_WITHIN: Final = 30.0
TARGET: Final = "simulated"
KEPT_LINES: Final = 20


class Child:
    """One process of ours and what it says."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.last_words: deque[str] = deque(maxlen=KEPT_LINES)
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it was started with a pipe
        async for line in self.process.stderr:
            self.last_words.append(line.decode("utf-8", "replace").rstrip())

    async def lines(self) -> AsyncIterator[str]:
        """Yield what it prints."""
        assert self.process.stdout is not None  # noqa: S101 - it was started with a pipe
        async for line in self.process.stdout:
            yield line.decode("utf-8", "replace").rstrip()

    async def end(self) -> int:
        """Ask it to end, wait, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.process.wait(), ENDS_WITHIN)
        except TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        await self._listening
        return code

    def died(self) -> MonitorError:
        """Return the error that says how it ended."""
        said = " | ".join(self.last_words) or "it said nothing"
        return MonitorError(f"{self.name} ended with {self.process.returncode}: {said}")


@asynccontextmanager
async def child(name: str, *arguments: str, cwd: Path, environ: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run ``monitor`` with these arguments while the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", *arguments, cwd=cwd, env=environ, limit=1 << 22,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    ours = Child(name, process)
    try:
        yield ours
    finally:
        await ours.end()


async def base_url(simulator: Child) -> str:
    """Return where the simulator listens: its first line."""
    async with asyncio.timeout(STARTS_WITHIN):
        async for line in simulator.lines():
            return line
    await simulator.end()
    raise simulator.died()


async def sync(environ: Mapping[str, str], cwd: Path) -> None:
    """Register every user that the simulated target lists."""
    async with child("monitor cohort sync", "cohort", "sync", cwd=cwd, environ=environ) as ours:
        if await asyncio.wait_for(ours.process.wait(), STARTS_WITHIN):
            await ours.end()
            raise ours.died()


async def events(daemon: Child) -> AsyncIterator[dict[str, Any]]:
    """Yield the daemon's log, event by event."""
    async for line in daemon.lines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        yield event


def environment(url: str, key: str, interval: float) -> dict[str, str]:
    """Return an environment that configures the monitor for a simulator, and nothing of the caller's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MONITOR_", "JUNCTION_"))}
    prefix = f"MONITOR_TARGETS__{TARGET.upper()}__"
    # The checkout may not be installed: the children find the package where we found it.
    search = os.pathsep.join(each for each in (_package_home(), kept.get("PYTHONPATH")) if each)
    return kept | {
        "PYTHONPATH": search,
        f"{prefix}BASE_URL": url,
        f"{prefix}API_KEY": key,
        f"{prefix}MAX_REQUESTS_PER_SECOND": "20000",
        "MONITOR_POLL__INTERVAL": f"{interval:g}s",
        "MONITOR_DATABASE__URL": "sqlite:///demo.db",
        "MONITOR_HTTP__PORT": "0",
        "MONITOR_LOG__FORMAT": "json",
    }


def _package_home() -> str:
    import monitor  # noqa: PLC0415 - only its place is wanted

    return os.path.dirname(os.path.dirname(os.path.abspath(monitor.__file__)))  # noqa: PTH100, PTH120

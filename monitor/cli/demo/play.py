"""How the demonstration goes: start both, let the monitor take its baseline, watch, stop the world, compare."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import yaml
from rich.console import Console
from rich.live import Live

from monitor import events
from monitor.cli.demo import children, verdict
from monitor.cli.demo.picture import Figures, alert_line, draw
from monitor.cli.interruption import stopping
from monitor.simulator import demo_scenario

if TYPE_CHECKING:
    from monitor.cli.demo.children import Child
    from monitor.simulator import Scenario

INTERVAL: Final = 2.0
LOOK_EVERY: Final = 0.5
TELL_EVERY: Final = 5.0
OUTAGE: Final = 8.0
"""The longest outage that the scenario makes, in seconds."""
BLIND: Final = timedelta(seconds=2 * INTERVAL + OUTAGE + 2)


async def play(*, users: int, seed: int, duration: float, live: bool) -> bool:
    """Play it and print the verdict; return whether the monitor found all and invented nothing."""
    scenario = demo_scenario(users, seed, duration)
    with tempfile.TemporaryDirectory(prefix="monitor-demo-") as folder:
        home = Path(folder)
        (home / "scenario.yaml").write_text(_written(scenario))
        with stopping() as stop:
            return await _play(scenario, home, duration, stop, live=live and sys.stdout.isatty())


async def _play(scenario: Scenario, home: Path, duration: float, stop: asyncio.Event, *, live: bool) -> bool:
    simulate = ("simulate", "--port", "0", "--scenario", "scenario.yaml")
    database = f"sqlite:///{home / 'demo.db'}"
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        children.child("monitor simulate", *simulate, cwd=home, environ=children.environment("", "", 1)) as simulator,
    ):
        url = await children.base_url(simulator)
        # The world stands still until the monitor has taken its baseline, however slow this machine is.
        await http.post(f"{url}/_simulator/freeze")
        environ = children.environment(url, scenario.api_key, INTERVAL)
        await children.sync(environ, home)
        async with children.child("monitor run", "run", cwd=home, environ=environ) as daemon:
            stage = _Stage(Figures(), duration, live=live)
            reading = asyncio.create_task(stage.read(daemon))
            await verdict.last_round(database)
            await http.post(f"{url}/_simulator/thaw")
            await stage.watch(daemon, simulator, http, stop)
            if stop.is_set():
                raise KeyboardInterrupt
            await http.post(f"{url}/_simulator/freeze")
            await verdict.last_round(database)
            code = await daemon.end()
            await reading
        found = await verdict.judged(database, http, url, BLIND)
    return _report(found, stage.told) and code == 0


def _report(found: verdict.Verdict, told: set[str]) -> bool:
    """Print the verdict; return whether nothing is missing."""
    for each in found.tally.unexplained:
        sys.stderr.write(f"{each}\n")
    if found.tally.fleeting:
        sys.stdout.write(f"{found.tally.fleeting} came and went between two polls\n")
    if found.pending:
        sys.stdout.write(f"{found.pending} missing connections wait for a second answer to confirm it\n")
    if found.unstable:
        sys.stdout.write(f"{found.unstable} errors of unstable connections are under one alert each\n")
    written = len(found.fired & told)
    incidents = f", {found.incidents} of them incidents" if found.incidents else ""
    silent = f", {found.silent} errors without one" if found.silent else ""
    sys.stdout.write(f"alerts: {len(found.fired)} fired{incidents}, {written} written{silent}\n{found.tally}\n")
    return found.tally.exact and not found.silent and written == len(found.fired)


class _Stage:
    """What a person sees while it plays, and the alert lines that were told."""

    def __init__(self, figures: Figures, duration: float, *, live: bool) -> None:
        self._figures = figures
        self._duration = duration
        self._live = Live(console=Console(), screen=False, auto_refresh=False) if live else None
        self.told: set[str] = set()

    async def watch(self, daemon: Child, simulator: Child, http: httpx.AsyncClient, stop: asyncio.Event) -> None:
        """Show what happens for the duration."""
        began = looked = time.monotonic()
        told_at = 0.0
        with self._live or nullcontext():
            while (elapsed := time.monotonic() - began) < self._duration and not stop.is_set():
                for each in (daemon, simulator):
                    if each.process.returncode is not None:
                        await each.end()
                        raise each.died()
                if self._figures.metrics_url:
                    await self._figures.scrape(http, time.monotonic() - looked)
                    looked = time.monotonic()
                if self._live is not None:
                    self._live.update(draw(self._figures, elapsed, self._duration), refresh=True)
                elif elapsed - told_at >= TELL_EVERY:
                    told_at = elapsed
                    self._tell(elapsed)
                await asyncio.sleep(LOOK_EVERY)

    async def read(self, daemon: Child) -> None:
        """Read the daemon's log to its end."""
        async for event in children.events(daemon):
            if event.get("event") == events.MONITOR_STARTED:
                self._figures.metrics_url = f"http://127.0.0.1:{event['http_port']}/metrics"
            elif event.get("event") in {events.CONNECTION_ALERT, events.INCIDENT_ALERT}:
                self._figures.alerts.append(event)
                self.told.add(event["alert_id"])
                if self._live is None:
                    sys.stderr.write(f"{alert_line(event)}\n")

    def _tell(self, elapsed: float) -> None:
        figures = self._figures
        broken = sum(amount for (_, status), amount in figures.connections.items() if status == "error")
        sys.stderr.write(
            f"{elapsed:3.0f} s: {figures.users} users, {figures.per_second:.0f} polls/s, {broken} in error, "
            f"{sum(figures.transitions.values())} transitions, {figures.metrics_url}\n"
        )


def _written(scenario: Scenario) -> str:
    """Return the scenario as a file for ``monitor simulate``: what was said, and of each step what it is."""
    data = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["timeline"] = [
        {"do": str(step.do), **told} for step, told in zip(scenario.timeline, data.get("timeline", ()), strict=True)
    ]
    return yaml.safe_dump(data)

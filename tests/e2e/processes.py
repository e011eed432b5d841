"""Real processes around one simulated Junction and one database, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Final

import httpx
from sqlalchemy import func, select

from monitor import events
from monitor.cli.demo import verdict
from monitor.cli.demo.reconcile import Step, Tally, reconcile
from monitor.core.alerting import AlertKind, is_new_error
from monitor.core.diff import replay
from monitor.ports import AlertFilter, TransitionFilter
from monitor.store import open_store
from monitor.store.engine import sync_engine
from monitor.store.tables import undecided
from tests.store.contract_recount import agrees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.core.alerting import Alert
    from monitor.core.model import Connection, Transition

BLIND: Final = timedelta(minutes=1)
"""While daemons die, a user may stay unseen: then only the net effect of its changes can be found."""


@contextmanager
def process(
    *arguments: str, cwd: Path, environ: Mapping[str, str], log: Path, stderr: IO[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``monitor`` while the block runs; its standard output is appended to ``log``."""
    command = [sys.executable, "-m", "monitor", *arguments]
    with (
        log.open("a") as out,
        subprocess.Popen(command, cwd=cwd, env=environ, stdout=out, stderr=stderr, text=True) as running,
    ):
        try:
            yield running
        finally:
            running.kill()


def port_of(log: Path) -> int:
    """Return the port that the simulator printed."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        text = log.read_text()
        if text.endswith("\n"):
            return int(text.strip().rsplit(":", 1)[1])
        time.sleep(0.05)
    raise AssertionError("the simulator did not start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A simulated Junction, a database in which everybody was seen once, and how daemons are started on them."""

    cwd: Path
    database: str
    simulator: str
    environ: Mapping[str, str]

    def control(self, what: str, **order: object) -> None:
        """Use one of the simulator's levers."""
        httpx.post(f"{self.simulator}/_simulator/{what}", json=order or None, trust_env=False).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """Return what the simulator counted."""
        found: dict[str, Any] = httpx.get(f"{self.simulator}/_simulator/stats", trust_env=False).json()
        return found

    def run(self, *arguments: str) -> None:
        """Run one command to its end."""
        command = [sys.executable, "-m", "monitor", *arguments]
        subprocess.run(command, cwd=self.cwd, env=self.environ, check=True, capture_output=True)

    def daemon(self, log: str = "daemon.log") -> Any:
        """Run a daemon while a block runs."""
        return process("run", cwd=self.cwd, environ=self.environ, log=self.cwd / log)


@contextmanager
def stand(cwd: Path, database: str, scenario: Mapping[str, object], **settings: str) -> Iterator[Stand]:
    """Set the stage; the world stands still until everybody was seen once, so that no baseline hides anything."""
    (cwd / "scenario.yaml").write_text(json.dumps(scenario))
    arguments = ("simulate", "--port", "0", "--scenario", "scenario.yaml")
    alone, log = {"PATH": os.environ["PATH"]}, cwd / "simulator.log"
    with process(*arguments, cwd=cwd, environ=alone, log=log):
        port = port_of(log)
        environ = environment(database, f"http://127.0.0.1:{port}") | {
            f"MONITOR_{name}": value for name, value in settings.items()
        }
        made = Stand(cwd=cwd, database=database, simulator=f"http://127.0.0.1:{port}", environ=environ)
        made.control("freeze")
        for once in (("db", "upgrade"), ("cohort", "sync"), ("poll",)):
            made.run(*once)
        made.control("thaw")
        yield made


def environment(database: str, junction: str) -> dict[str, str]:
    """Return what a daemon is told that is in a hurry."""
    return {
        "PATH": os.environ["PATH"],
        "MONITOR_TARGETS__SIM__API_KEY": "sk_us_simulated",
        "MONITOR_TARGETS__SIM__BASE_URL": junction,
        "MONITOR_TARGETS__SIM__MAX_REQUESTS_PER_SECOND": "10000",
        "MONITOR_POLL__INTERVAL": "1s",
        "MONITOR_POLL__TIMEOUT": "1s",
        "MONITOR_DATABASE__URL": database,
        "MONITOR_DATABASE__AUTO_MIGRATE": "true",
        "MONITOR_HTTP__PORT": "0",
        "MONITOR_LOG__FORMAT": "json",
    }


def settle(stage: Stand, log: str = "daemon.log") -> None:
    """Let the world stand still and one last daemon see it as it is; it must drain and exit 0."""
    stage.control("freeze")
    with stage.daemon(log) as daemon:
        asyncio.run(verdict.last_round(stage.database))
        await_all_told(stage.database)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the monitor found, and how it compares with the ledger."""

    transitions: list[Transition]
    current: Mapping[tuple[str, str], Connection]
    tally: Tally
    alerts: list[Alert]

    @property
    def news(self) -> list[Transition]:
        """All but what first snapshots showed."""
        return [each for each in self.transitions if not each.baseline]

    def assert_exact(self) -> None:
        """Nothing was missed, invented or written twice, and history leads to the present."""
        assert self.tally.exact, self.tally.unexplained
        assert len({each.id for each in self.transitions}) == len(self.transitions)
        users = {str(each.user_id) for each in self.transitions}
        replayed = {
            (user, name): row
            for user in users
            for name, row in replay(each for each in self.transitions if str(each.user_id) == user).items()
        }
        assert {key: _face(row) for key, row in replayed.items()} == {k: _face(row) for k, row in self.current.items()}

    def assert_told(self, logs: list[Path]) -> None:
        """An alert stands for every error that fires, and every step of it was told at least once, firing first."""
        begun = {each.began_by for each in self.alerts}
        unstable = {(each.user, each.provider) for each in self.alerts if each.kind is AlertKind.UNSTABLE}
        errors = [each for each in self.news if is_new_error(each)]
        assert [each for each in errors if each.id not in begun and (each.user, each.provider) not in unstable] == []
        told = [line for log in logs for line in alert_lines(log) if line["event"] == events.CONNECTION_ALERT]
        lines = [(line["alert_id"], line["state"]) for line in told]
        fired = {str(each.id) for each in self.alerts if each.fired_at}
        over = {str(each.id) for each in self.alerts if each.fired_at and not each.is_open}
        assert set(lines) == {(each, "firing") for each in fired} | {(each, "resolved") for each in over}
        if len(logs) == 1:
            assert all(lines.index((each, "firing")) < lines.index((each, "resolved")) for each in over)


def findings(stage: Stand) -> Findings:
    """Read what the database and the ledger say; the store must agree with itself."""
    with httpx.Client(trust_env=False) as http:
        ledger = verdict.made(http.get(f"{stage.simulator}/_simulator/ledger").text.splitlines())
    found, current, alerts, pending = asyncio.run(_remembered(stage.database))
    news = [each for each in found if not each.baseline]
    tally = reconcile(ledger, [*map(verdict.found_step, news), *pending], blind=BLIND)
    return Findings(transitions=found, current=current, tally=tally, alerts=alerts)


async def _remembered(
    database: str,
) -> tuple[list[Transition], dict[tuple[str, str], Connection], list[Alert], list[Step]]:
    store = open_store(database)
    try:
        await agrees(store)
        found = [each async for each in store.views.transitions(TransitionFilter())]
        views = [each async for each in store.views.connections()]
        alerts = [each.alert async for each in store.views.alerts(AlertFilter())]
        current = {(str(each.user_id), each.connection.provider): each.connection for each in views}
        return found, current, alerts, await verdict.pending_steps(store)
    finally:
        await store.aclose()


def await_all_told(database: str, within: float = 60) -> None:
    """Return when all is decided and told; what a killed daemon had claimed is free only after its lease."""
    until = time.monotonic() + within
    while not asyncio.run(_all_told(database)):
        assert time.monotonic() < until, f"not all was told within {within:g} s"
        time.sleep(0.2)


async def _all_told(database: str) -> bool:
    store = open_store(database)
    try:
        waiting = (await store.outbox.undelivered()).values()
    finally:
        await store.aclose()
    engine = sync_engine(database)
    with engine.connect() as connection:
        queued = connection.scalar(select(func.count()).select_from(undecided))
    engine.dispose()
    return not any(waiting) and not queued


def alert_lines(log: Path) -> Iterator[dict[str, str]]:
    """Yield the lines about alerts and incidents in a daemon's output."""
    for line in log.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the line in which a daemon was killed
        if event["event"] in {events.CONNECTION_ALERT, events.INCIDENT_ALERT}:
            yield event


def _face(connection: Connection) -> tuple[object, ...]:
    """Return what transitions carry of a connection."""
    return connection.status, connection.error_type, connection.errored_at

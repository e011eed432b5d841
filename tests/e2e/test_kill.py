"""Kill -9 at random moments, 50 times in one run, held against the simulator's ledger."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from monitor.cli.demo import verdict
from monitor.cli.demo.reconcile import reconcile
from monitor.core.alerting import FIRES
from monitor.core.diff import replay
from monitor.ports import TransitionFilter
from monitor.store import open_store
from tests.store.contract_recount import agrees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.core.model import Connection, Transition

KILLS: Final = 50
SCENARIO: Final = {"users": 60, "seed": 11, "changes": {"per_second": 4, "from": 1, "rest": 1}}
BLIND: Final = timedelta(minutes=1)
"""While daemons die, a user may stay unseen: then only the net effect of its changes can be found."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Name each database in turn."""
    url: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


@contextmanager
def process(*arguments: str, cwd: Path, environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run ``monitor`` while the block runs; its standard output is appended to ``log``."""
    command = [sys.executable, "-m", "monitor", *arguments]
    with log.open("a") as out, subprocess.Popen(command, cwd=cwd, env=environ, stdout=out, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def environment(database: str, port: int) -> dict[str, str]:
    """Return the environment of the daemon."""
    return {
        "PATH": os.environ["PATH"],
        "MONITOR_TARGETS__SIM__API_KEY": "sk_us_simulated",
        "MONITOR_TARGETS__SIM__BASE_URL": f"http://127.0.0.1:{port}",
        "MONITOR_TARGETS__SIM__MAX_REQUESTS_PER_SECOND": "10000",
        "MONITOR_POLL__INTERVAL": "1s",
        "MONITOR_POLL__TIMEOUT": "1s",
        "MONITOR_DATABASE__URL": database,
        "MONITOR_DATABASE__AUTO_MIGRATE": "true",
        "MONITOR_HTTP__PORT": "0",
        "MONITOR_LOG__FORMAT": "json",
    }


def port_of(log: Path) -> int:
    """Return the port that the simulator printed."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        text = log.read_text()
        if text.endswith("\n"):
            return int(text.strip().rsplit(":", 1)[1])
        time.sleep(0.05)
    raise AssertionError("the simulator did not start")


def kill_again_and_again(cwd: Path, environ: Mapping[str, str], log: Path) -> None:
    """Start a daemon and kill it at a random moment of its first seconds, over and over."""
    chance = random.Random(5)  # noqa: S311 - the same moments in every run
    for _ in range(KILLS):
        with process("run", cwd=cwd, environ=environ, log=log) as daemon:
            time.sleep(chance.uniform(0.5, 2.0))
            daemon.send_signal(signal.SIGKILL)


def settle(cwd: Path, environ: Mapping[str, str], log: Path, database: str, simulator: str) -> None:
    """Let the world stand still and one last daemon see it as it is; it must drain and exit 0."""
    httpx.post(f"{simulator}/_simulator/freeze", trust_env=False)
    with process("run", cwd=cwd, environ=environ, log=log) as daemon:
        asyncio.run(verdict.last_round(database))
        time.sleep(1.5)  # the last notices are told by the next tick
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0


async def remembered(database: str) -> tuple[list[Transition], dict[tuple[str, str], Connection]]:
    """Return all transitions and current connections; the store must agree with itself."""
    store = open_store(database)
    try:
        await agrees(store)
        found = [each async for each in store.views.transitions(TransitionFilter())]
        views = [each async for each in store.views.connections()]
        return found, {(str(each.user_id), each.connection.provider): each.connection for each in views}
    finally:
        await store.aclose()


def face(connection: Connection) -> tuple[str, str | None, datetime | None]:
    """Return what transitions carry of a connection."""
    return connection.status, connection.error_type, connection.errored_at


@pytest.mark.timeout(300)
def test_a_daemon_killed_fifty_times_lost_nothing_and_repeated_nothing(database: str, tmp_path: Path) -> None:
    """Against the ledger nothing is missed and nothing invented; state, history, counts and alerts agree."""
    (tmp_path / "scenario.yaml").write_text(json.dumps(SCENARIO))
    arguments = ("simulate", "--port", "0", "--scenario", "scenario.yaml")
    log, alone = tmp_path / "daemon.log", {"PATH": os.environ["PATH"]}
    with process(*arguments, cwd=tmp_path, environ=alone, log=tmp_path / "simulator.log"):
        port = port_of(tmp_path / "simulator.log")
        simulator, environ = f"http://127.0.0.1:{port}", environment(database, port)
        # The world stands still until everybody was seen once, so that nothing is hidden in a baseline.
        httpx.post(f"{simulator}/_simulator/freeze", trust_env=False)
        for once in (("db", "upgrade"), ("cohort", "sync"), ("poll",)):
            subprocess.run([sys.executable, "-m", "monitor", *once], cwd=tmp_path, env=environ, check=True)
        httpx.post(f"{simulator}/_simulator/thaw", trust_env=False)
        kill_again_and_again(tmp_path, environ, log)
        settle(tmp_path, environ, log, database, simulator)
        with httpx.Client(trust_env=False) as http:
            ledger = verdict.made(http.get(f"{simulator}/_simulator/ledger").text.splitlines())
    found, current = asyncio.run(remembered(database))
    news = [each for each in found if not each.baseline]
    tally = reconcile(ledger, map(verdict.found_step, news), blind=BLIND)
    assert tally.exact, tally.unexplained
    assert tally.found > KILLS
    assert len({each.id for each in found}) == len(found)
    replayed = {
        (user, name): row
        for user in {str(each.user_id) for each in found}
        for name, row in replay(each for each in found if str(each.user_id) == user).items()
    }
    assert {key: face(row) for key, row in replayed.items()} == {key: face(row) for key, row in current.items()}
    told = {line["transition_id"] for line in _alerts(log) if line["state"] == "firing"}
    assert {str(each.id) for each in news if each.kind in FIRES} == told


def _alerts(log: Path) -> Iterator[dict[str, str]]:
    for line in log.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the line in which a daemon was killed
        if event["event"] == "connection.alert":
            yield event

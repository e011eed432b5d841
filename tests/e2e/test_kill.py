"""Kill -9 at random moments, 50 times in one run, held against the simulator's ledger."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from monitor.cli.demo import verdict
from tests.e2e.processes import await_all_told, findings, stand

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Stand

KILLS: Final = 50
SCENARIO: Final = {"users": 60, "seed": 11, "changes": {"per_second": 4, "from": 1, "rest": 1}}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Name each database in turn."""
    url: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


def kill_again_and_again(stage: Stand) -> None:
    """Start a daemon and kill it at a random moment of its first seconds, over and over."""
    chance = random.Random(5)  # noqa: S311 - the same moments in every run
    for _ in range(KILLS):
        with stage.daemon() as daemon:
            time.sleep(chance.uniform(0.5, 2.0))
            daemon.send_signal(signal.SIGKILL)


def settle(stage: Stand) -> None:
    """Let the world stand still and one last daemon see it as it is; it must drain and exit 0."""
    stage.control("freeze")
    with stage.daemon() as daemon:
        asyncio.run(verdict.last_round(stage.database))
        await_all_told(stage.database)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0


@pytest.mark.timeout(300)
def test_a_daemon_killed_fifty_times_lost_nothing_and_repeated_nothing(database: str, tmp_path: Path) -> None:
    """Against the ledger nothing is missed and nothing invented; state, history, counts and alerts agree."""
    with stand(tmp_path, database, SCENARIO) as stage:
        kill_again_and_again(stage)
        settle(stage)
        found = findings(stage)
    found.assert_exact()
    assert found.tally.found > KILLS
    found.assert_told([tmp_path / "daemon.log"])

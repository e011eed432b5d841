"""Kill -9 at random moments, over and over in one run, held against the simulator's ledger."""

from __future__ import annotations

import random
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos.scale import scaled
from tests.e2e.processes import findings, settle, stand

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.e2e.processes import Stand

KILLS: Final = scaled(12, 500)
SCENARIO: Final = {"users": 60, "seed": 11, "changes": {"per_second": 4, "from": 1, "rest": 1}}


@pytest.fixture(params=[("sqlite", 1), ("postgresql", 1), ("postgresql", 2)], ids=lambda each: f"{each[0]}-{each[1]}")
def fleet(request: pytest.FixtureRequest, sqlite_url: str) -> tuple[str, int]:
    """Name each database in turn, with how many daemons are on it at once."""
    kind, daemons = request.param
    return sqlite_url if kind == "sqlite" else request.getfixturevalue("postgres_url"), daemons


def kill_again_and_again(stage: Stand, logs: list[str]) -> None:
    """Kill one of the daemons at a random moment of its first seconds and start it again, over and over."""
    chance = random.Random(5)  # noqa: S311 - the same moments in every run
    with ExitStack() as stack:
        alive: dict[str, subprocess.Popen[str]] = {each: stack.enter_context(stage.daemon(each)) for each in logs}
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 2.0))
            dies = chance.choice(logs)
            alive[dies].send_signal(signal.SIGKILL)
            alive[dies].wait()
            alive[dies] = stack.enter_context(stage.daemon(dies))


@pytest.mark.chaos
@pytest.mark.timeout(scaled(300, 7200))
def test_daemons_killed_again_and_again_lost_nothing_and_repeated_nothing(
    fleet: tuple[str, int], tmp_path: Path
) -> None:
    """Against the ledger nothing is missed and nothing invented; state, history, counts and alerts agree."""
    database, daemons = fleet
    logs = [f"daemon-{each}.log" for each in range(daemons)]
    with stand(tmp_path, database, SCENARIO) as stage:
        kill_again_and_again(stage, logs)
        settle(stage, logs[0])
        found = findings(stage)
    found.assert_exact()
    assert found.tally.found > KILLS
    found.assert_told([tmp_path / each for each in logs])

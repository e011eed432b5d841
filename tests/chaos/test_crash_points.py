"""A daemon that dies at every statement and at every await of its work in turn, and the one that comes after it."""

from __future__ import annotations

import multiprocessing
import random
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import update

from monitor.store.engine import sync_engine
from monitor.store.tables import jobs, metadata
from tests.chaos import fate
from tests.chaos.scale import LONG, scaled
from tests.e2e.processes import findings, settle, stand

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Stand

WORLD: Final = {"users": 40, "seed": 7, "changes": {"per_second": 12, "from": 1, "rest": 1}}
POINTS: Final = {"statements": range(1, 261, scaled(13, 1)), "awaits": range(1, scaled(521, 801), scaled(26, 1))}
LIFE_WITHIN: Final = 20.0
COMMITS: Final = {"before COMMIT", "after COMMIT"}
MUST_DIE_AT: Final = {
    "statements": ("INSERT INTO transitions", "INSERT INTO outbox", "INSERT INTO snapshots", "UPDATE users"),
    "awaits": ("Poller._slot", "HttpTransport", "SqlPolls.commit", "Batch._write_transitions", "SqlAlerts.settle"),
}
"""Some of where the long form is sure to end a process."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Name each database in turn."""
    url: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


def let_time_pass(database: str) -> None:
    """Let every lease expire, as it would while nobody lives."""
    engine = sync_engine(database)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if "leased_until" in table.c and table is not jobs:
                expired = update(table).where(table.c.lease.is_not(None))
                connection.execute(expired.values(leased_until=datetime(2020, 1, 1, tzinfo=UTC)))
    engine.dispose()


def die(stage: Stand, kind: str, at: int) -> None:
    """Run a daemon until its point; that it comes there is part of the test."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.fate"])
    child = context.Process(target=fate.live, args=(kind, at, dict(stage.environ), stage.cwd))
    child.start()
    child.join(LIFE_WITHIN)
    if child.is_alive():
        child.kill()
        child.join()
        raise AssertionError(f"it did not come to point {at} of its {kind}")
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.chaos
@pytest.mark.timeout(scaled(300, 7200))
@pytest.mark.parametrize("kind", ["statements", "awaits"])
def test_wherever_a_daemon_dies_nothing_is_lost_or_told_never(database: str, kind: str, tmp_path: Path) -> None:
    """Against the ledger nothing is missed, invented or written twice, and every step of every alert is told."""
    with stand(tmp_path, database, WORLD, POLL__CONCURRENCY="4") as stage:
        # Mixed, so that now and then one comes as far as a poll: who is unseen for long shows its net effect alone.
        for at in random.Random(3).sample(POINTS[kind], len(POINTS[kind])):  # noqa: S311 - the same in every run
            die(stage, kind, at)
            if database.startswith("postgresql"):
                let_time_pass(database)
        settle(stage)
        found = findings(stage)
    found.assert_exact()
    found.assert_told([tmp_path / "daemon.log"])
    died_at = set((tmp_path / f"{kind}.txt").read_text().splitlines())
    assert len(died_at) > len(POINTS[kind]) / scaled(3, 20)
    if LONG:
        for each in MUST_DIE_AT[kind]:
            assert any(each in place for place in died_at), f"none died at {each}"

"""Through pgbouncer in transaction mode, where each transaction may be on another connection of the server."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, cast
from uuid import UUID

import psycopg
import pytest

from monitor.store import Schema, open_store
from tests.e2e.processes import findings, stand
from tests.store.contract_recount import agrees
from tests.store.contract_stage import ANN, BOB, Stage, broken, connected
from tests.store.pgbouncer import SHARED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tools
MANY = [UUID(int=number) for number in range(1, 401)]


def server_connections(url: str) -> int:
    """Return how many connections, but our own, the server has to this database."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(url) as direct:
        return cast("tuple[int]", direct.execute(others).fetchone())[0]


def test_the_schema_goes_both_ways(through: str) -> None:
    """The migrations' lock lasts as long as their transaction, so a pooler cannot lose it."""
    schema = Schema(through)
    schema.upgrade()
    schema.require_head()
    schema.downgrade("base")
    assert schema.current() is None


async def test_two_replicas_do_all_their_work(through: str) -> None:
    """Everything from registration to history, each step on whatever connection there is."""
    Schema(through).upgrade()
    one, other = Stage(open_store(through)), Stage(open_store(through))
    await one.register(ANN, BOB)
    await one.see(ANN, connected())
    other.now = one.now
    await other.see(ANN, broken())
    await other.see_the_same(ANN)
    await other.decide()
    await one.store.views.ping()
    assert [each.connection.error_type for each in await one.connections(user_id=ANN)] == ["token_refresh_failed"]
    assert len(await one.notices()) == 1
    await agrees(one.store)
    for each in (one, other):
        await each.store.aclose()


async def test_claims_of_many_at_once_are_disjoint(through: str, postgres_url: str) -> None:
    """More claimers than the server has connections: nobody is handed out twice, and nobody is left."""
    Schema(through).upgrade()
    stages = [Stage(open_store(through)) for _ in range(6)]
    await stages[0].register(*MANY)
    shares = await asyncio.gather(*(each.claim(limit=50) for each in stages for _ in range(2)))
    taken = [user for share in shares for user in share]
    assert len(taken) == len(set(taken)) == len(MANY)
    assert server_connections(postgres_url) == SHARED < len(stages)
    for each in stages:
        await each.store.aclose()


@pytest.mark.timeout(120)
def test_the_daemon_runs_behind_it(through: str, tmp_path: Path) -> None:
    """Two replicas against a lively Junction: what they find is what was done, and both drain."""
    scenario = {"users": 30, "seed": 3, "changes": {"per_second": 4, "from": 1, "rest": 1, "until": "8s"}}
    with stand(tmp_path, through, scenario) as stage, stage.daemon("a.log") as one, stage.daemon("b.log") as other:
        time.sleep(12)
        for each in (one, other):
            each.send_signal(signal.SIGTERM)
        assert [each.wait(20) for each in (one, other)] == [0, 0]
        found = findings(stage)
    found.assert_exact()
    assert found.tally.found > 5

"""Two stores on one PostgreSQL that decide, and erase, at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg
import pytest

from monitor.core.policy import IncidentRule
from monitor.events import CONNECTION_ALERT
from monitor.store import open_store
from tests.poller.evaluators import quiet_evaluator
from tests.store import contract_kept as kept
from tests.store.contract_recount import agrees
from tests.store.contract_stage import POLICY, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.evaluator import Evaluator

USERS: Final = [UUID(int=number) for number in range(1, 61)]
WAVES: Final = replace(POLICY, incident=IncidentRule(min_users=5))
BLOCKED: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def replicas(migrated_postgres_url: str) -> AsyncIterator[tuple[Stage, Stage]]:
    """Give two stages on one database, with a cohort that is well."""
    one, other = (Stage(open_store(migrated_postgres_url), WAVES) for _ in range(2))
    await one.register(*USERS)
    await break_(one, USERS, well=True)
    yield one, other
    await agrees(one.store)
    for each in (one, other):
        await each.store.aclose()


async def break_(stage: Stage, users: list[UUID], *, well: bool = False) -> None:
    """Commit one poll of these users."""
    verdicts = await stage.seen_together(*users, rows=(connected() if well else broken(),))
    assert len(await stage.store.polls.commit(verdicts, now=stage.now)) == len(users)


def evaluator(stage: Stage, clock: Stage) -> Evaluator:
    """Return what decides on one replica, by the clock of another."""
    return quiet_evaluator(stage.store.alerts, WAVES, lambda: clock.now)


async def test_replicas_that_decide_at_once_decide_on_each_thing_once(replicas: tuple[Stage, Stage]) -> None:
    """One incident, and of each alert one line, while polls go on."""
    one, other = replicas
    deciding = [evaluator(one, one), evaluator(other, one)]
    for start in range(0, len(USERS), 6):
        await asyncio.gather(
            break_(one, USERS[start : start + 6]), *(each.decide() for each in deciding for _ in range(3))
        )
    for each in deciding:
        await each.decide()
    (incident,) = await kept.incidents(one.store)
    assert incident.broken == len(USERS)
    told = Counter((each.event, each.alert_id, each.updates) for each in await one.notices())
    assert set(told.values()) == {1}
    assert len([event for event, _, _ in told if event == CONNECTION_ALERT]) == len(USERS)


async def blocked(url: str, number: int) -> None:
    """Return when so many sessions wait for a lock."""
    async with asyncio.timeout(5), await psycopg.AsyncConnection.connect(url, autocommit=True) as looker:
        while await (await looker.execute(BLOCKED)).fetchone() != (number,):  # noqa: ASYNC110 - others wait, not we
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("first", ["settle", "erase"])
async def test_a_member_erased_while_its_incident_opens_leaves_right_counts(
    replicas: tuple[Stage, Stage], migrated_postgres_url: str, first: str
) -> None:
    """Whoever comes second sees what the first one made of the alert."""
    one, other = replicas
    await break_(one, USERS[:4])
    await one.decide()
    await break_(one, USERS[4:5])
    taken = await one.docket()
    work = {"settle": one.settle(taken), "erase": other.store.cohort.erase(TARGET, USERS[0], now=other.now)}
    async with await psycopg.AsyncConnection.connect(migrated_postgres_url) as holder:
        await holder.execute("LOCK TABLE counts IN EXCLUSIVE MODE")
        tasks = [asyncio.create_task(work.pop(first))]
        await blocked(migrated_postgres_url, 1)
        tasks += [asyncio.create_task(each) for each in work.values()]
        await blocked(migrated_postgres_url, 2)
    assert await asyncio.gather(*tasks) == [True, True]
    (incident,) = await kept.incidents(one.store)
    assert incident.broken == 4

"""A process that stops in the middle of a transaction, and the others."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from monitor.errors import StoreUnavailable
from monitor.store import open_store
from monitor.store.tables import budgets
from tests.store.contract_stage import ANN, Stage

if TYPE_CHECKING:
    from uuid import UUID


async def claimed(stage: Stage, within: float = 30) -> list[UUID]:
    """Claim as a poller does: what does not answer now is asked again."""
    async with asyncio.timeout(within):
        while True:
            with suppress(StoreUnavailable):
                return await stage.claim()


async def stand_still(stage: Stage, standing: asyncio.Event) -> None:
    """Lock what every claim needs, and never go on."""
    with suppress(StoreUnavailable):
        async with stage.store._database.writing() as connection:  # type: ignore[attr-defined]
            standing.set()
            await connection.execute(update(budgets).values(tokens=0))
            await asyncio.sleep(60)


@pytest.mark.parametrize("frozen", [1, 4])
async def test_who_stops_in_a_transaction_loses_its_locks_before_leases_pass(
    migrated_postgres_url: str, frozen: int
) -> None:
    """The database ends a transaction that stands still, and several that queue for one lock all at once."""
    asleep, awake = Stage(open_store(migrated_postgres_url)), Stage(open_store(migrated_postgres_url))
    await asleep.register(ANN)
    await asleep.claim(limit=0)
    sleepers = []
    for _ in range(frozen):
        standing = asyncio.Event()
        sleepers.append(asyncio.create_task(stand_still(asleep, standing)))
        await standing.wait()
        await asyncio.sleep(0.2)
    began = time.monotonic()
    assert await claimed(awake) == [ANN]
    assert 1 < time.monotonic() - began < 9
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    for stage in (asleep, awake):
        await stage.store.aclose()

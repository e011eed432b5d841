"""A process that stops in the middle of a transaction, and the others."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from sqlalchemy import update

from monitor.errors import StoreUnavailable
from monitor.store import open_store
from monitor.store.tables import budgets
from tests.store.contract_stage import ANN, Stage


async def test_who_stops_in_a_transaction_loses_its_locks_before_leases_pass(migrated_postgres_url: str) -> None:
    """The database ends a transaction that stands still, whatever it has locked; the others go on."""
    frozen, awake = Stage(open_store(migrated_postgres_url)), Stage(open_store(migrated_postgres_url))
    await frozen.register(ANN)
    await frozen.claim(limit=0)
    standing = asyncio.Event()

    async def stand_still() -> None:
        with suppress(StoreUnavailable):
            async with frozen.store._database.writing() as connection:  # type: ignore[attr-defined]
                await connection.execute(update(budgets).values(tokens=0))
                standing.set()
                await asyncio.sleep(30)

    sleeper = asyncio.create_task(stand_still())
    await standing.wait()
    began = time.monotonic()
    assert await awake.claim() == [ANN]
    assert 1 < time.monotonic() - began < 10
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    for each in (frozen, awake):
        await each.store.aclose()

"""Opening the database with its schema as it must be, and the event loop it is used in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import uvloop

from monitor.app.privacy import client_user_id
from monitor.store import Schema, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from monitor.config import Config
    from monitor.ports import Store

T = TypeVar("T")


def clock() -> datetime:
    """Return the time of day, aware and UTC."""
    return datetime.now(UTC)


def run_in_loop(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end in the fastest loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def prepare(config: Config) -> None:
    """Bring the schema to head where that is ours to do, else check that it is there.

    Raises:
        SchemaMismatch: the schema is not at head, and it is not ours to change it.
        StoreUnavailable: the database does not answer.
    """
    schema = Schema(config.database.address)
    await asyncio.to_thread(schema.upgrade if config.database.migrates else schema.require_head)


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Store]:
    """Open the store, its schema at head; see :func:`prepare` for what is raised."""
    await prepare(config)
    store = open_store(config.database.address, client_user_id(config.privacy))
    try:
        yield store
    finally:
        await store.aclose()

"""What SQLite's files hold of an erased user, also beside a program that reads them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.store import open_store
from tests.store.contract_stage import ANN, BOB, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET: Final = b"what only this user was told"


def holding(url: str) -> set[str]:
    """Return the endings of the database's files that hold the secret."""
    file = Path(url.removeprefix("sqlite:///"))
    found = [each for each in file.parent.glob(f"{file.name}*") if SECRET in each.read_bytes()]
    return {each.name.removeprefix(file.name) for each in found}


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Read the database as a backup does, while a block runs."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM transitions").fetchone()
        yield


async def erased_beside_a_reader(url: str) -> Stage:
    """Let a user leave a trace, and erase it."""
    stage = Stage(open_store(url))
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken(error_message=SECRET.decode()))
    with reading(url):
        assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
        assert not await stage.store.upkeep.purge_log()
        assert holding(url) == {"-wal"}
    return stage


async def test_an_erased_text_is_in_no_file(migrated_sqlite_url: str) -> None:
    """Neither in the database nor in its log."""
    stage = Stage(open_store(migrated_sqlite_url))
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken(error_message=SECRET.decode()))
    assert holding(migrated_sqlite_url)
    assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.store.upkeep.purge_log()
    assert holding(migrated_sqlite_url) == set()
    await stage.store.aclose()


async def test_the_text_goes_when_the_reader_has_ended(migrated_sqlite_url: str) -> None:
    """Until then it is said to be there."""
    stage = await erased_beside_a_reader(migrated_sqlite_url)
    assert await stage.store.upkeep.purge_log()
    assert holding(migrated_sqlite_url) == set()
    await stage.store.aclose()


async def test_a_reader_that_ends_in_time_is_waited_for(migrated_sqlite_url: str) -> None:
    """A query of a person takes a second."""
    stage = Stage(open_store(migrated_sqlite_url))
    await stage.register(ANN)
    with reading(migrated_sqlite_url):
        await stage.see(ANN, broken(error_message=SECRET.decode()))
        await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
        purging = asyncio.create_task(stage.store.upkeep.purge_log())
        await asyncio.sleep(1)
    assert await purging
    assert holding(migrated_sqlite_url) == set()
    await stage.store.aclose()


async def test_another_process_writes_while_the_log_is_waited_for(migrated_sqlite_url: str) -> None:
    """No write waits for longer than one attempt."""
    stage, daemon = Stage(open_store(migrated_sqlite_url)), Stage(open_store(migrated_sqlite_url))
    await stage.register(ANN, BOB)
    longest = 0.0
    with reading(migrated_sqlite_url):
        purging = asyncio.create_task(stage.store.upkeep.purge_log())
        while not purging.done():
            began = time.monotonic()
            await daemon.see(BOB, connected())
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.05)
    assert not await purging
    assert longest < 2
    for each in (stage, daemon):
        await each.store.aclose()

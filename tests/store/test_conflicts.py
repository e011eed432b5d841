"""Transactions that get in each other's way on PostgreSQL: tried again, and no outage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from monitor.core import judge
from monitor.errors import StoreConflict, StoreUnavailable
from monitor.ports import ListedUser
from monitor.store import conflicts, open_store
from monitor.store.conflicts import retry_conflicts
from monitor.store.engine import Database
from tests.store.contract_stage import ANN, BOB, CADENCE, LEASE, TARGET, Stage, connected
from tests.store.test_replicas import blocked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOCK: Final = "SELECT 1 FROM users WHERE user_id = '{}' FOR UPDATE"
DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
RENAMED: Final = [ListedUser(user_id=ANN, client_user_id="ann"), ListedUser(user_id=BOB, client_user_id="bob")]


@pytest.fixture
async def stage(migrated_postgres_url: str) -> AsyncIterator[Stage]:
    """Give a store with two users."""
    stage = Stage(open_store(migrated_postgres_url))
    await stage.register(ANN, BOB)
    yield stage
    await stage.store.aclose()


@pytest.fixture
async def database(migrated_postgres_url: str, stage: Stage) -> AsyncIterator[Database]:
    """Give the same database without the store around it."""
    del stage
    database = Database(migrated_postgres_url)
    yield database
    await database.aclose()


async def test_a_deadlock_is_a_conflict(database: Database) -> None:
    """Two transactions that lock two users in opposite orders: one goes through, the other met a conflict."""
    both = asyncio.Barrier(2)

    async def lock(*users: object) -> None:
        async with database.writing() as connection:
            for user in users:
                await connection.exec_driver_sql(LOCK.format(user))
                if user is users[0]:
                    await both.wait()

    ended = await asyncio.gather(lock(ANN, BOB), lock(BOB, ANN), return_exceptions=True)
    (conflict,) = [each for each in ended if each is not None]
    assert isinstance(conflict, StoreConflict)
    assert "deadlock" in str(conflict)


async def test_a_lock_that_is_held_for_too_long_is_a_conflict(database: Database, stage: Stage) -> None:
    """Nothing was written, and the database answers."""
    async with database.writing() as connection:
        await connection.exec_driver_sql(LOCK.format(ANN))
        with pytest.raises(StoreConflict, match="lock timeout"):
            await stage.store.cohort.register(TARGET, RENAMED, now=stage.now, revive=True)


async def test_a_serialization_failure_is_a_conflict(database: Database) -> None:
    """Where a transaction has more isolation than ours do."""

    async def change_what_another_changed() -> None:
        async with database.writing() as connection:
            await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await connection.exec_driver_sql("SELECT count(*) FROM users")
            async with database.writing() as other:
                await other.exec_driver_sql("UPDATE users SET failures = 1")
            await connection.exec_driver_sql("UPDATE users SET failures = 2")

    with pytest.raises(StoreConflict):
        await change_what_another_changed()


async def test_an_import_that_meets_a_deadlock_is_tried_again(stage: Stage, migrated_postgres_url: str) -> None:
    """The other transaction holds the second user and wants the first one; the import renames both in the end."""
    async with await psycopg.AsyncConnection.connect(migrated_postgres_url, client_encoding="UTF8") as other:
        await other.execute(LOCK.format(BOB))
        importing = asyncio.create_task(stage.store.cohort.register(TARGET, RENAMED, now=stage.now, revive=True))
        await blocked(migrated_postgres_url, 1)
        await other.execute(LOCK.format(ANN))
        await other.commit()
    assert (await importing).known == 2
    assert [each.client_user_id async for each in stage.store.cohort.members(TARGET)] == ["ann", "bob"]


async def test_polls_without_news_lock_users_in_the_order_of_imports(stage: Stage, migrated_postgres_url: str) -> None:
    """Both wait for the first user, which a third transaction holds; neither holds what the other wants."""
    for user in (BOB, ANN):  # so that the first user's row is the last one in the table
        await stage.see(user, connected())
    stage.later(hours=1)
    claims = await stage.store.polls.claim_users(TARGET, [ANN, BOB], now=stage.now, lease=LEASE)
    polled = [judge.unchanged(each, CADENCE, stage.now) for each in sorted(claims, key=lambda each: -each.key)]
    async with await psycopg.AsyncConnection.connect(migrated_postgres_url, client_encoding="UTF8") as holder:
        await holder.execute(LOCK.format(ANN))
        importing = asyncio.create_task(stage.store.cohort.register(TARGET, RENAMED, now=stage.now, revive=True))
        await blocked(migrated_postgres_url, 1)
        committing = asyncio.create_task(stage.store.polls.commit(polled, now=stage.now))
        await blocked(migrated_postgres_url, 2)
        await holder.commit()
    assert (await importing).known == 2
    assert await committing == {each.key for each in claims}
    await stage.store.aclose()  # sessions report what they counted when they end
    async with await psycopg.AsyncConnection.connect(migrated_postgres_url, client_encoding="UTF8") as looker:
        assert await (await looker.execute(DEADLOCKS)).fetchone() == (0,)


async def test_what_is_registered_may_be_a_stream_though_it_is_tried_again(stage: Stage) -> None:
    """It is read once, before the first attempt."""
    registered = await stage.store.cohort.register(TARGET, iter(RENAMED), now=stage.now, revive=True)
    assert registered.known == 2


class Work:
    """A writing transaction that ends as told."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.attempts = 0

    @retry_conflicts
    async def run(self) -> int:
        """Return how often it was tried."""
        self.attempts += 1
        end = self.ends.pop(0)
        if end is not None:
            raise end
        return self.attempts


async def test_conflicts_are_retried_until_it_goes_through() -> None:
    """Whoever called hears nothing of them."""
    assert await Work(StoreConflict("deadlock"), StoreConflict("again"), None).run() == 3


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ValueError("bug")])
async def test_what_is_no_conflict_is_not_retried(error: Exception) -> None:
    """An outage is for the caller, who knows when to come back."""
    work = Work(error, None)
    with pytest.raises(type(error)):
        await work.run()
    assert work.attempts == 1


async def test_conflicts_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller tries again at its next tick."""
    monkeypatch.setattr(conflicts, "RETRY_WITHIN", 0.2)
    work = Work(*[StoreConflict("deadlock")] * 50)
    async with asyncio.timeout(5):
        with pytest.raises(StoreConflict):
            await work.run()
    assert 2 < work.attempts < 15

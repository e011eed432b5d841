"""The session of PostgreSQL: ours, whatever defaults the server, the database or the role has."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from monitor.errors import StoreError
from monitor.store import Schema, open_store
from monitor.store.engine import Database, sync_engine
from tests.postgres import HOSTILE
from tests.store.contract_stage import ANN, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.postgres import Server

PINNED: Final = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "client_encoding": "UTF8",
    "transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}
OTHER_ENCODINGS: Final = ("LATIN1", "SQL_ASCII")
IMPLAUSIBLE: Final = (
    "0001-01-01 00:00:00+00",
    "1969-12-31 23:59:59+00",
    "2201-01-01 00:00:00+00",
    "9999-12-31 23:59:59+00",
    "20000-01-01 00:00:00+00",
    "0044-03-15 12:00:00+00 BC",
    "infinity",
    "-infinity",
)


@pytest.fixture
def hostile_role_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """Give the URL of a database for a role with defaults of its own, which go before those of the database."""
    with (
        postgres_server.database(template=postgres_template) as url,
        closing(psycopg.connect(url, autocommit=True)) as admin,
    ):
        admin.execute("CREATE ROLE stubborn LOGIN SUPERUSER")
        try:
            for name, value in (HOSTILE | {"client_encoding": "LATIN1"}).items():
                admin.execute(sql.SQL("ALTER ROLE stubborn SET {} = {}").format(sql.Identifier(name), value))
            yield make_url(url).set(username="stubborn").render_as_string()
        finally:
            admin.execute("DROP ROLE stubborn")


async def pinned(url: str) -> list[dict[str, Any]]:
    """Return what holds in a reading, a writing and a blocking transaction."""
    found = []
    database = Database(url)
    for transaction in (database.reading, database.writing):
        async with transaction() as connection:
            shown = [(name, await connection.exec_driver_sql(f"SHOW {name}")) for name in PINNED]
            found.append({name: value.scalar() for name, value in shown})
    await database.aclose()
    engine = sync_engine(url)
    with engine.begin() as blocking:
        found.append({name: blocking.exec_driver_sql(f"SHOW {name}").scalar() for name in PINNED})
    engine.dispose()
    return found


async def test_every_transaction_is_pinned_whatever_the_database_says(migrated_postgres_url: str) -> None:
    """Reading, writing, and migrations."""
    assert await pinned(migrated_postgres_url) == [PINNED] * 3


async def test_every_transaction_is_pinned_whatever_the_role_says(hostile_role_url: str) -> None:
    """Its defaults go before those of the database."""
    assert await pinned(hostile_role_url) == [PINNED] * 3


@pytest.mark.tools
async def test_every_transaction_is_pinned_behind_a_pooler(migrated_pooled_url: str) -> None:
    """Each may be on another connection of the server."""
    assert await pinned(migrated_pooled_url) == [PINNED] * 3


async def test_a_poll_works_for_a_role_of_another_encoding(hostile_role_url: str) -> None:
    """A Cyrillic message of an error comes back as it was sent."""
    stage = Stage(open_store(hostile_role_url))
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken(error_message="\u0421\u0440\u043e\u043a \U0001f6b4"))
    assert [each.connection.error_message for each in await stage.connections()] == [
        "\u0421\u0440\u043e\u043a \U0001f6b4"
    ]
    await stage.store.aclose()


@pytest.mark.parametrize("hostile", [False, True])
def test_migrations_run_both_ways_whatever_the_defaults_are(postgres_server: Server, *, hostile: bool) -> None:
    """And leave what this program expects."""
    with postgres_server.database(settings=HOSTILE if hostile else None) as url:
        schema = Schema(url)
        schema.upgrade()
        assert schema.check() == []
        schema.downgrade("base")


def ends_with_no_connection(url: str) -> bool:
    """Return whether the server has soon no connection to this database but ours."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    until = time.monotonic() + 5
    with closing(psycopg.connect(url, client_encoding="UTF8", autocommit=True)) as direct:
        while is_used := direct.execute(others).fetchone() is not None:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
    return not is_used


@pytest.mark.parametrize("encoding", OTHER_ENCODINGS)
async def test_a_database_of_another_encoding_is_refused(postgres_server: Server, encoding: str) -> None:
    """In one line that names the encoding and what to type, before anything is written."""
    with postgres_server.database(encoding=encoding) as url:
        told = rf"encoding is {encoding}, .* createdb -E UTF8 -T template0"
        for command in (Schema(url).upgrade, Schema(url).require_head, Schema(url).check):
            with pytest.raises(StoreError, match=told) as refused:
                command()
            assert "\n" not in str(refused.value)
        store = open_store(url)
        with pytest.raises(StoreError, match=told):
            await store.views.ping()
        await store.aclose()
        assert ends_with_no_connection(url)


@pytest.fixture(params=["sqlite", "postgres"])
def old_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of a store of each kind that an earlier release may have written to."""
    url: str = request.getfixturevalue(f"migrated_{request.param}_url")
    return url


@asynccontextmanager
async def in_error(url: str) -> AsyncIterator[Stage]:
    """Give a store with a user in error, and with the alert of that."""
    stage = Stage(open_store(url))
    await stage.register(ANN)
    await stage.see(ANN, connected(created_on=stage.now))
    await stage.see(ANN, broken(created_on=stage.now, errored_at=stage.now))
    await stage.decide()
    try:
        yield stage
    finally:
        await stage.store.aclose()


def execute(url: str, *statements: str) -> None:
    """Change rows as another release would have left them."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


async def assert_dates_are_missing(url: str, date: str) -> None:
    """Put ``date`` into every row that has one of the vendor's, and go on from there."""
    async with in_error(url) as stage:
        places = ("connections.created_on", "connections.errored_at", "transitions.errored_at", "alerts.errored_at")
        split = [place.split(".") for place in places]
        execute(url, *(f"UPDATE {table} SET {column} = '{date}'" for table, column in split))  # noqa: S608 - our words
        (view,) = await stage.connections()
        assert (view.connection.created_on, view.connection.errored_at) == (None, None)
        assert {each.errored_at for each in await stage.transitions()} == {None}
        assert {each.errored_at for each in await stage.open_alerts()} == {None}
        await stage.see(ANN, connected())
        await stage.decide()
        assert await stage.open_alerts() == []


@pytest.mark.parametrize("date", IMPLAUSIBLE)
async def test_a_date_that_an_earlier_release_stored_reads_as_missing(migrated_postgres_url: str, date: str) -> None:
    """Wherever it is read, and the user is polled and evaluated as if it were not there."""
    await assert_dates_are_missing(migrated_postgres_url, date)


@pytest.mark.parametrize("year", ["0001", "1969", "2201", "9999"])
async def test_such_a_date_reads_as_missing_on_sqlite_too(migrated_sqlite_url: str, year: str) -> None:
    """There it is a text."""
    await assert_dates_are_missing(migrated_sqlite_url, f"{year}-12-31 23:59:59.000000")


async def test_such_a_date_in_a_snapshot_reads_as_missing(old_url: str) -> None:
    """Snapshots keep theirs in JSON."""
    async with in_error(old_url) as stage:
        kind = "text" if old_url.startswith("sqlite") else "jsonb"
        aged = f"CAST(replace(CAST(connections AS text), '{stage.now.year}-', '0001-') AS {kind})"
        execute(old_url, f"UPDATE snapshots SET connections = {aged}")  # noqa: S608 - our own words
        stood = await stage.store.views.snapshot_at(TARGET, ANN, stage.now)
        assert stood is not None
        assert [(each.created_on, each.errored_at) for each in stood.connections] == [(None, None)]

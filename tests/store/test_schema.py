from __future__ import annotations

import threading

import pytest
from sqlalchemy import inspect

from monitor.errors import SchemaMismatch, StoreError, UsageError
from monitor.store import Schema, open_store
from monitor.store.engine import sync_engine
from monitor.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Give an empty database of each kind."""
    chosen: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return chosen


def tables(url: str) -> set[str]:
    """Return the tables that there are, Alembic's own left out."""
    engine = sync_engine(url)
    found = set(inspect(engine).get_table_names()) - {"alembic_version"}
    engine.dispose()
    return found


def test_the_migrations_run_both_ways(url: str) -> None:
    """Up, down to nothing, and up again."""
    schema = Schema(url)
    schema.upgrade()
    assert tables(url) == set(metadata.tables)
    schema.downgrade("base")
    assert tables(url) == set()
    schema.upgrade()
    assert schema.current() == schema.head


def test_the_migrated_schema_is_what_the_program_expects(url: str) -> None:
    """Alembic's comparison finds no drift."""
    schema = Schema(url)
    schema.upgrade()
    assert schema.check() == []


def test_drift_is_told(url: str) -> None:
    """A table that somebody dropped is named."""
    schema = Schema(url)
    schema.upgrade()
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE outbox")
    engine.dispose()
    assert any("outbox" in each for each in schema.check())


def test_a_schema_that_is_not_at_head_is_refused_with_the_command(url: str) -> None:
    """The error says what to type."""
    with pytest.raises(SchemaMismatch, match="monitor db upgrade"):
        Schema(url).require_head()


async def test_the_database_is_not_ready_before_it_is_migrated(url: str) -> None:
    """Readiness asks for the revision."""
    store = open_store(url)
    with pytest.raises(SchemaMismatch):
        await store.views.ping()
    Schema(url).upgrade()
    await store.views.ping()
    await store.aclose()


def test_several_may_migrate_at_once(url: str) -> None:
    """Replicas that start together do not trip over each other."""
    errors: list[BaseException] = []

    def upgrade() -> None:
        try:
            Schema(url).upgrade()
        except StoreError as error:
            errors.append(error)

    starters = [threading.Thread(target=upgrade) for _ in range(4)]
    for each in starters:
        each.start()
    for each in starters:
        each.join()
    assert errors == []
    assert Schema(url).check() == []


def test_an_unknown_revision_is_a_slip_of_the_person(url: str) -> None:
    """It is answered as bad usage."""
    with pytest.raises(UsageError, match="nowhere"):
        Schema(url).downgrade("nowhere")


@pytest.mark.parametrize("where", ["sqlite:////nowhere/at/all/monitor.db", "postgresql://me:hunter2@127.0.0.1:1/x"])
def test_an_unreachable_database_is_one_line_without_its_password(where: str) -> None:
    """Whoever reads the log learns what fails, and nothing else."""
    with pytest.raises(StoreError) as caught:
        Schema(where).current()
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)

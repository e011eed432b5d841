from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy.engine import make_url

from monitor.store import open_store
from monitor.store.memory import MemoryStore
from tests.postgres import HOSTILE, let_in
from tests.store.contract_recount import agrees
from tests.store.contract_stage import Stage
from tests.store.pgbouncer import pooled
from tests.store.telling import Teller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from monitor.ports import Store
    from tests.postgres import Server

MIGRATED: Final = {
    "sqlite": "migrated_sqlite_url",
    "postgresql": "migrated_postgres_url",
    "pgbouncer": "migrated_pooled_url",
}


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """Give the URL of a SQLite file at the newest schema."""
    copy = shutil.copy(migrated_sqlite_file, tmp_path / "migrated.db")
    return f"sqlite:///{copy}"


@pytest.fixture
def migrated_postgres_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """Give the URL of a database at the newest schema, with defaults that the store must not depend on."""
    with postgres_server.database(template=postgres_template, settings=HOSTILE) as url:
        yield url


@pytest.fixture(scope="session")
def pooler_port(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give the port of a pgbouncer in front of every database of the server."""
    with pooled(postgres_server.admin_url, let_in(tmp_path_factory.mktemp("pgbouncer"))) as url:
        port = make_url(url).port
        assert port is not None
        yield port


@pytest.fixture
def through(postgres_url: str, pooler_port: int) -> str:
    """Give the URL of an empty database behind pgbouncer."""
    return _through(postgres_url, pooler_port)


@pytest.fixture
def migrated_pooled_url(migrated_postgres_url: str, pooler_port: int) -> str:
    """Give the URL of a database at the newest schema behind pgbouncer."""
    return _through(migrated_postgres_url, pooler_port)


def _through(url: str, port: int) -> str:
    return make_url(url).set(port=port).render_as_string(hide_password=False)


@pytest.fixture(params=["memory", "sqlite", "postgresql", pytest.param("pgbouncer", marks=pytest.mark.tools)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Name each kind of store in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
async def store(store_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Give an empty store of each kind; what a test leaves in it must agree with itself."""
    store = _opened(store_kind, request)
    yield store
    await agrees(store)
    await store.aclose()


@pytest.fixture
async def teller(store_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Teller]:
    """Give an empty store of each kind with words for what is to be told."""
    store = _opened(store_kind, request)
    yield Teller(store)
    await store.aclose()


@pytest.fixture
def stage(store: Store) -> Stage:
    """Give the store with a clock and words for steps."""
    return Stage(store)


def _opened(kind: str, request: pytest.FixtureRequest) -> Store:
    if kind == "memory":
        return MemoryStore()
    url: str = request.getfixturevalue(MIGRATED[kind])
    return open_store(url)

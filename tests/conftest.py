from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from monitor.store import Schema
from tests import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# For mutation testing: the same examples for each mutant, few of them, and no time spent on making a failure short.
settings.register_profile(
    "mutation",
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Give a PostgreSQL server; under pytest-xdist every worker has one of its own."""
    with postgres.server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """Give the URL of an empty database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Give the URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'monitor.db'}"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a fresh self-signed certificate for ``localhost``, its key in the same file; alone it ends in ``.crt``."""
    return self_signed(tmp_path_factory.mktemp("tls") / "localhost.pem")


def self_signed(path: Path) -> Path:
    """Write a certificate for ``localhost`` and its key to ``path``, and the certificate alone beside it."""
    command = [
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        *["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        *["-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
    ]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as both:
        both.write(path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a SQLite file at the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "monitor.db"
    Schema(f"sqlite:///{file}").upgrade()
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Server) -> Iterator[str]:
    """Give the URL of a database at the newest schema, to be copied; nobody may be connected to it then."""
    with postgres_server.database() as url:
        Schema(url).upgrade()
        yield url

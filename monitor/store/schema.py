"""The schema of a database, through Alembic: where it stands, and how it is moved."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

import monitor
from monitor.errors import SchemaMismatch, UsageError
from monitor.store.engine import parsed, sync_engine, translated
from monitor.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

LOCK: Final = 0x6A756E63
"""Of PostgreSQL's advisory locks: several starters migrate one after the other."""
UPGRADE: Final = "monitor db upgrade"


def migrations() -> Path:
    """Return the folder of the migrations: inside the installed package, else beside it in a checkout."""
    package = Path(monitor.__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


class Schema:
    """The schema of one database. All methods block; call them in a thread where a loop runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _config(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config

    @property
    def head(self) -> str:
        """The revision that this program was built for."""
        return head(self._config)

    def current(self) -> str | None:
        """Return the revision that the database is at, None where there is none.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._connected() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def upgrade(self, to: str = "head") -> None:
        """Bring the schema to a revision; several may try at once.

        Raises:
            StoreUnavailable: the database does not answer.
            UsageError: there is no such revision.
        """
        with self._connected() as connection, _named():
            if MigrationContext.configure(connection).get_current_revision() != self.head or to != "head":
                command.upgrade(self._alembic(connection), to)

    def downgrade(self, to: str) -> None:
        """Take the schema back to a revision, ``base`` for nothing at all.

        Raises:
            StoreUnavailable: the database does not answer.
            UsageError: there is no such revision.
        """
        with self._connected() as connection, _named():
            command.downgrade(self._alembic(connection), to)

    def check(self) -> list[str]:
        """Return what differs between the database and what this program expects, a line each."""
        with self._connected() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return [str(each) for each in compare_metadata(context, metadata)]

    def require_head(self) -> None:
        """Return when the schema is at head.

        Raises:
            SchemaMismatch: it is not; the text says what to type.
            StoreUnavailable: the database does not answer.
        """
        refuse_other_than(self.head, self.current())

    def _alembic(self, connection: Connection) -> Config:
        config = self._config
        config.attributes["connection"] = connection
        return config

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with translated(parsed(self._url)), sync_engine(self._url).begin() as connection:
            if connection.dialect.name == "postgresql":
                # As long as it takes: a migration before ours may be long, and one that gives up has to begin again.
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection


def head(config: Config | None = None) -> str:
    """Return the newest revision among the migrations."""
    if config is None:
        config = Config()
        config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
    found = ScriptDirectory.from_config(config).get_current_head()
    if found is None:
        raise SchemaMismatch(f"no migrations in {migrations()}")
    return found


def refuse_other_than(expected: str, found: str | None) -> None:
    """Raise :class:`SchemaMismatch` where ``found`` is not ``expected``."""
    if found != expected:
        raise mismatch(expected, found)


def mismatch(expected: str, found: str | None) -> SchemaMismatch:
    """Return the error that says what to type."""
    return SchemaMismatch(
        f"the database schema is at {found or 'nothing'}, this program needs {expected}; run: {UPGRADE}"
    )


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise UsageError(str(error)) from error

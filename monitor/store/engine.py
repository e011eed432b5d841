"""The one seam to the driver: engines, transactions, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from monitor.errors import StoreConflict, StoreError, StoreUnavailable
from monitor.store.conflicts import CONFLICTS
from monitor.store.passfile import look_at_passfile
from monitor.store.tables import to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection, Dialect

BUSY_TIMEOUT_MS: Final = 5000
CHECKPOINT_BUSY_MS: Final = 100
CHECKPOINT_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to empty the log, some 4 with the attempts: a query of a person is over by then."""
POOL: Final = 5
CONNECT_TIMEOUT: Final = 5
SETTINGS: Final = {
    # What the code relies on, whatever the server, the database or the role has for a default.
    "timezone": "'UTC'",
    "datestyle": "'ISO, MDY'",
    "intervalstyle": "'postgres'",
    "client_encoding": "'UTF8'",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": 1,
    # Less than a lease leaves beyond poll.timeout: nobody waits for a frozen process longer than for a dead one.
    "idle_in_transaction_session_timeout": 5000,
    # Less than half of that (a row is waited for in two steps): of several frozen processes that queue for one lock,
    # none gets it after the first.
    "lock_timeout": 2000,
    # Hot pages are in memory: without this, a few hundred users by key look dearer than all of them from end to end.
    "random_page_cost": 1.1,
}
"""Of every transaction on PostgreSQL; times in milliseconds."""
ENCODING: Final = "UTF8"
"""The only one that holds every text that the vendor may send."""
WRONG_ENCODING: Final = (
    "the database's encoding is {encoding}, which cannot hold every text; this program needs {needed}:"
    " make a new database with createdb -E {needed} -T template0 NAME, and name it in database.url"
)
UNHEARD_TIMEOUT_MS: Final = 10_000
"""After so long without a sign of life of the server a connection is given up."""
TRANSIENT: Final = frozenset({"25006", "57P01", "57P02", "57P03", "53300", "53100"})
"""SQLSTATEs that pass: read-only, shutting down, starting up, full."""
DAMAGED: Final = (
    "the database file {file} is damaged or none of SQLite's ({reason}):"
    " restore a backup, or move it away to begin anew"
)
FORBIDDEN: Final = "42501"
"""The SQLSTATE of a missing privilege."""
_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<before>postgres(?:ql)?://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<after>(?:[/?#].*)?)"
)
_HOST_AND_PORT: Final = re.compile(r"\[?(?P<host>[^\[\]]*?)\]?(?::(?P<port>[0-9]*))?")
PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


class Database:
    """One database in use: reading transactions, and writing ones, of which SQLite has one at a time."""

    def __init__(self, url: str) -> None:
        self.url = parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        driver = "sqlite+aiosqlite" if self.is_sqlite else "postgresql+psycopg"
        self._engine: AsyncEngine = create_async_engine(self.url.set(drivername=driver), **_options(self.url))
        if self.is_sqlite:
            _take_charge(self._engine.sync_engine)
        else:
            _begin(self._engine.sync_engine)
        self._writer = self._engine.execution_options(immediate=True)
        self._one_writer = asyncio.Lock() if self.is_sqlite else None

    @property
    def dialect(self) -> Dialect:
        """How the database speaks SQL."""
        return self._engine.dialect

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that only reads.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with translated(self.url):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that writes; it commits as a whole when the block ends well.

        Raises:
            StoreUnavailable: the database does not answer, and nothing was written.
        """
        if self._one_writer is None:
            with translated(self.url):
                async with self._writer.begin() as connection:
                    yield connection
            return
        async with self._one_writer:
            with translated(self.url):
                async with self._writer.begin() as connection:
                    yield connection

    async def checkpoint(self) -> bool:
        """Fold SQLite's write-ahead log into the file and empty it, so that nothing that was deleted stays in it.

        Returns:
            False where another connection that reads kept the log in use all the time.
        """
        for pause in CHECKPOINT_PAUSES:
            if await self._emptied_log():
                return True
            await asyncio.sleep(pause)
        return await self._emptied_log()

    async def _emptied_log(self) -> bool:
        if self._one_writer is None:
            return True
        async with self._one_writer:
            with translated(self.url):
                async with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                    # It keeps writers out while it waits for readers: others are to get in between two attempts.
                    await connection.exec_driver_sql(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_MS}")
                    try:
                        busy, *_ = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
                    finally:
                        await connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        return not busy

    async def aclose(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()


def parsed(url: str) -> URL:
    """Return the URL as SQLAlchemy has it; ``postgres://`` is another word for ``postgresql://``.

    SQLAlchemy takes several hosts in the query alone, as libpq's ``host`` and ``port``. libpq tries them in turn.
    """
    found = _SEVERAL_HOSTS.fullmatch(url)
    made = make_url(found["before"] + found["after"] if found else url)
    if found:
        hosts = [_HOST_AND_PORT.fullmatch(each) for each in found["hosts"].split(",")]
        named = {
            "host": [each["host"] for each in hosts if each],
            "port": [each["port"] or "" for each in hosts if each],
        }
        made = made.update_query_dict({name: ",".join(each) for name, each in named.items()})
    return made.set(drivername="postgresql") if made.drivername == "postgres" else made


def sync_engine(url: str) -> Engine:
    """Return an engine without a pool, for the schema."""
    made = parsed(url)
    is_sqlite = made.get_backend_name() == "sqlite"
    options = _options(made) | {"poolclass": NullPool}
    for pooled in ("pool_size", "max_overflow", "pool_pre_ping"):
        options.pop(pooled, None)
    engine = create_engine(made.set(drivername="sqlite" if is_sqlite else "postgresql+psycopg"), **options)
    if is_sqlite:
        _take_charge(engine)
    else:
        _begin(engine)
    return engine.execution_options(immediate=True)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn errors that pass into :class:`StoreUnavailable`, those of a wrong place into :class:`StoreError`.

    Where only another transaction was in the way, it is a :class:`StoreConflict`.
    """
    # The text is one line of the driver's: no URL, no password, no statement.
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailable("no connection became free in time") from error
    except (OperationalError, InterfaceError) as error:
        if _state_of(error) in CONFLICTS:
            raise StoreConflict(_first_line(error)) from error
        raise StoreUnavailable(_first_line(error)) from error
    except DBAPIError as error:
        if type(error.orig) is sqlite3.DatabaseError:
            raise StoreError(DAMAGED.format(file=url.database, reason=_first_line(error))) from error
        if error.statement is None or type(error) is DatabaseError or _state_of(error) == FORBIDDEN:
            raise StoreError(_first_line(error)) from error
        passes = _state_of(error) in TRANSIENT and not isinstance(error, IntegrityError)
        if error.connection_invalidated or passes:
            raise StoreUnavailable(_first_line(error)) from error
        raise


def _state_of(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _first_line(error: SQLAlchemyError) -> str:
    text = str(getattr(error, "orig", error)).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _options(url: URL) -> dict[str, Any]:
    shared: dict[str, Any] = {"json_serializer": to_json, "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        return shared | {"pool_size": POOL, "connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000}}
    # A pooler in transaction mode gives each transaction another server connection, so nothing is prepared.
    # The encoding holds for what the driver asks before the first transaction, too.
    wanted = {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": UNHEARD_TIMEOUT_MS, "keepalives_idle": 30}
    arguments = {"prepare_threshold": None, "client_encoding": ENCODING} | {
        name: each for name, each in wanted.items() if name not in url.query
    }
    pool = {"pool_size": POOL, "max_overflow": POOL, "pool_pre_ping": True}
    return shared | pool | {"isolation_level": "AUTOCOMMIT", "connect_args": arguments}


def _begin(engine: Engine) -> None:
    """Begin PostgreSQL's transactions ourselves, with their settings in the same message."""
    # Set in each transaction, since a pooler gives each another connection; for the driver it is in autocommit.
    look_at_passfile(engine)
    begin = "; ".join(
        ("BEGIN ISOLATION LEVEL READ COMMITTED", *(f"SET LOCAL {name} = {value}" for name, value in SETTINGS.items()))
    )

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    @event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy asks the server for anything
    def connected(connection: Any, _: Any) -> None:
        driver = getattr(connection, "driver_connection", connection)
        encoding = driver.info.parameter_status("server_encoding")
        if encoding != ENCODING:
            connection.close()
            raise StoreError(WRONG_ENCODING.format(encoding=encoding, needed=ENCODING))


def _take_charge(engine: Engine) -> None:
    """Begin SQLite's transactions ourselves: writing ones at once for writing, so that none fails half-way."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for each in PRAGMAS:
            cursor.execute(each)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    ending: set[asyncio.Task[None]] = set()

    @event.listens_for(engine, "invalidate")
    def invalidated(connection: Any, _record: Any, _error: BaseException | None) -> None:
        # A cancelled transaction ends with the close that follows, unless a cursor is alive: then its lock would stay
        # for as long as that.
        if engine.dialect.is_async:
            ending.add(task := asyncio.get_running_loop().create_task(_rolled_back(connection.driver_connection)))
            task.add_done_callback(ending.discard)


async def _rolled_back(connection: Any) -> None:
    with suppress(sqlite3.Error, ValueError):  # ValueError: it is closed already
        await connection.rollback()

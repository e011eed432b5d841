"""PostgreSQL restarted, gone, read-only, out of connections, and gone with the answer to a COMMIT."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.chaos.scale import scaled
from tests.chaos.troubled import for_a_while, lost_and_recovered, troubled
from tests.postgres import Cluster, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give a server that may be crashed."""
    with started(settings=()) as own:
        yield own


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """Give the URL of a database for a role that has no more rights than it needs."""
    with cluster.database() as url, closing(psycopg.connect(cluster.admin_url, autocommit=True)) as admin:
        with suppress(psycopg.errors.DuplicateObject):
            admin.execute("CREATE ROLE monitor LOGIN")
        name = sql.Identifier(make_url(url).database or "")
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO monitor").format(name))
        yield make_url(url).set(username="monitor").render_as_string()


def order(cluster: Cluster, database: str, what: str) -> None:
    """Change a setting of the database, and let everybody connect anew."""
    name = make_url(database).database or ""
    with closing(psycopg.connect(cluster.admin_url, autocommit=True)) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} " + what).format(sql.Identifier(name)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_a_restart_costs_nothing(cluster: Cluster, database: str, tmp_path: Path) -> None:
    """It crashes and comes back at once."""
    with troubled(tmp_path, database) as world:
        for _ in range(scaled(2, 20)):
            cluster.crash()
            cluster.start()
            world.works()


def test_an_outage_is_told_once_and_costs_nothing(cluster: Cluster, database: str, tmp_path: Path) -> None:
    """It is away for longer than leases last."""
    with troubled(tmp_path, database) as world:
        cluster.crash()
        for_a_while(scaled(14, 60))
        cluster.start()
        lost_and_recovered(world)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
        ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1"),
    ],
    ids=["read-only", "out of connections"],
)
def test_a_server_that_refuses_is_waited_for(
    cluster: Cluster, database: str, tmp_path: Path, begin: str, end: str
) -> None:
    """As a standby does after a failover, or a server that others use up."""
    with troubled(tmp_path, database) as world:
        order(cluster, database, begin)
        for_a_while(scaled(4, 60))
        order(cluster, database, end)
        lost_and_recovered(world)


def test_a_lost_answer_to_a_commit_makes_nothing_twice(cluster: Cluster, database: str, tmp_path: Path) -> None:
    """The server fails over while it commits: what was written stands, and is neither written nor told anew."""
    with cutting(cluster.port) as proxy:
        url = make_url(database).set(port=proxy.port).render_as_string()
        with troubled(tmp_path, url) as world:
            proxy.cuts = True
            for_a_while(scaled(8, 60))
            proxy.cuts = False
            lost_and_recovered(world)
        assert proxy.cut > scaled(3, 20)


class Proxy:
    """Passes bytes on to a server; where ``cuts``, every third answer to a COMMIT is lost with its connection."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cuts = False
        self.cut = 0
        self._commits = 0

    def run(self) -> None:
        """Serve until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._upstream))
        threading.Thread(target=self._back, args=(server, client), daemon=True).start()
        with client, server, suppress(OSError):
            while data := client.recv(1 << 16):
                if self.cuts and b"COMMIT" in data and self._is_cut():
                    client.shutdown(socket.SHUT_WR)
                    server.sendall(data)
                    time.sleep(0.1)
                    self.cut += 1
                    return
                server.sendall(data)

    def _is_cut(self) -> bool:
        self._commits += 1
        return self._commits % 3 == 0

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)


@contextmanager
def cutting(port: int) -> Iterator[Proxy]:
    """Run a proxy while a block runs."""
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    yield proxy
    proxy.close()
    thread.join()

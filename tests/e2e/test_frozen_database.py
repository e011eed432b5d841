"""The end of the daemon while PostgreSQL does not move."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from monitor.app.daemon import SHUTDOWN_SLACK
from tests.e2e.processes import stand
from tests.e2e.test_one_daemon import started
from tests.postgres import started as started_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

BUSY = {"users": 40, "seed": 1, "changes": {"per_second": 4, "rest": 1}}
POLL_TIMEOUT = 1.0
"""As the daemons of these tests have it."""
LEEWAY = 8.0
"""Seconds for what the process does after its deadline, on a machine that is busy; without a deadline it took 25."""


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Stop every process of a server while a block runs; its sockets stay open, and its host acknowledges packets."""
    assert cluster._process is not None
    shell = psutil.Process(cluster._process.pid)
    for each in shell.children(recursive=True):
        each.suspend()
    try:
        yield
    finally:
        for each in shell.children(recursive=True):
            each.resume()


@pytest.mark.timeout(120)
def test_sigterm_ends_the_daemon_in_time_while_the_database_is_frozen(tmp_path: Path) -> None:
    """Within poll.timeout and ten seconds: nobody has to kill it, and what was in hand is free after its lease."""
    with started_postgres() as cluster, cluster.database() as url, stand(tmp_path, url, BUSY) as stage:
        with stage.daemon() as daemon:
            started(tmp_path / "daemon.log")
            time.sleep(2)
            with frozen(cluster):
                time.sleep(1)
                daemon.send_signal(signal.SIGTERM)
                began = time.monotonic()
                code = daemon.wait(60)
                took = time.monotonic() - began
        assert took < POLL_TIMEOUT + SHUTDOWN_SLACK + LEEWAY
        assert code == 0
        assert "monitor.stopped" in (tmp_path / "daemon.log").read_text()

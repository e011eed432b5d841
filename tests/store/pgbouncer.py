"""The real pgbouncer in transaction mode, with so few server connections that clients have to share them."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg
from sqlalchemy.engine import make_url

from tests.postgres import free_port, hand_over, unprivileged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED: Final = 2
"""Server connections of each database."""
SETTINGS: Final = """
[databases]
* = host={host} port={upstream} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {shared}
max_client_conn = 200
"""


@contextmanager
def pooled(url: str, directory: Path) -> Iterator[str]:
    """Put pgbouncer in front of the server of the database at ``url``, and give the URL through it.

    ``directory`` is to be one that the user that servers run as may enter.
    """
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        message = "pgbouncer is not installed; Debian's package is pgbouncer"
        raise RuntimeError(message)
    behind, port = make_url(url), free_port()
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        SETTINGS.format(host=behind.host, upstream=behind.port, user=behind.username, port=port, shared=SHARED)
    )
    hand_over(settings)
    log = (directory / "pgbouncer.log").open("wb")
    with log, subprocess.Popen([program, settings], stdout=log, stderr=log, user=unprivileged(), cwd="/") as process:
        try:
            through = behind.set(port=port).render_as_string(hide_password=False)
            _wait_until_it_answers(through, directory / "pgbouncer.log")
            yield through
        finally:
            process.kill()


def _wait_until_it_answers(url: str, log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError), closing(psycopg.connect(url, connect_timeout=5)):
            return
        time.sleep(0.05)
    message = f"pgbouncer does not answer:\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)

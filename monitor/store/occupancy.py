"""One daemon on one SQLite file: an operating system's lock on a file beside it, which ends with the process."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import StoreError, StoreInUse
from monitor.store.engine import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def occupied(url: str) -> Iterator[None]:
    """Keep other daemons away from a SQLite file while the block runs; on PostgreSQL any number may run.

    Raises:
        StoreInUse: another daemon runs on the file; the text says what to do.
        StoreError: the lock cannot be had for another reason.
    """
    made = parsed(url)
    if made.get_backend_name() != "sqlite" or not made.database or made.database == ":memory:":
        yield
        return
    # Never the database file itself: closing any handle on it would drop the locks that SQLite holds.
    beside = Path(f"{made.database}.lock")
    try:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        hint = "the directory of database.url must be there and writable"
        raise StoreError(f"cannot open {beside}: {error.strerror}; {hint}") from error
    try:
        _lock(handle, made.database)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, database: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise StoreInUse(
            f"another monitor (process {other}) runs on {database}; SQLite is for one daemon: stop the other one, "
            "or use PostgreSQL for replicas"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)

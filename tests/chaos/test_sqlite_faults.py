"""A SQLite file that another process locks, on a disk that is full, or damaged."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from monitor import events
from tests.chaos.scale import scaled
from tests.chaos.troubled import for_a_while, lost_and_recovered, troubled
from tests.e2e.processes import process, stand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

QUIET = {"users": 5, "seed": 1, "changes": {"per_second": 0}}
HOLD = """
import sqlite3, sys, time
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
"""


def test_a_lock_of_another_process_is_waited_for(tmp_path: Path, sqlite_url: str) -> None:
    """A backup or a person with a shell may hold it for a while."""
    with troubled(tmp_path, sqlite_url) as world:
        for seconds in (1, scaled(8, 60)):
            subprocess.run([sys.executable, "-c", HOLD, tmp_path / "monitor.db", str(seconds)], check=True)
        lost_and_recovered(world)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(ballast: Path) -> None:
    """Take all the room that there is on a disk."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.tools
def test_a_full_disk_is_told_and_waited_for(tmp_path: Path, small_disk: Path) -> None:
    """Once there is room again it goes on by itself."""
    with troubled(tmp_path, f"sqlite:///{small_disk}/monitor.db") as world:
        ballast = small_disk / "ballast"
        fill(ballast)
        world.told(events.DATABASE_LOST)
        for_a_while(scaled(3, 30))
        ballast.unlink()
        lost_and_recovered(world)


@pytest.mark.parametrize("at", [0, 4096], ids=["its head", "its middle"])
def test_a_damaged_file_is_refused_with_one_line(tmp_path: Path, sqlite_url: str, at: int) -> None:
    """It says which file, and what to do; nothing is made of it."""
    file = tmp_path / "monitor.db"
    with stand(tmp_path, sqlite_url, QUIET) as stage:
        damaged = bytearray(file.read_bytes())
        damaged[at : at + 4096 * 3] = b"\xa5" * 4096 * 3
        file.write_bytes(damaged)
        for each in ("-wal", "-shm"):
            (tmp_path / f"monitor.db{each}").unlink(missing_ok=True)
        with process("run", cwd=tmp_path, environ=stage.environ, log=tmp_path / "daemon.log") as daemon:
            assert daemon.wait(20) == 1
        command = [sys.executable, "-m", "monitor", "status"]
        asked = subprocess.run(command, cwd=tmp_path, env=stage.environ, capture_output=True, text=True, check=False)
    assert file.read_bytes() == damaged
    (line,) = asked.stderr.splitlines()
    assert asked.returncode == 1
    assert "monitor.db" in line
    assert "damaged" in line
    (said,) = (tmp_path / "daemon.log").read_text().splitlines()
    assert "damaged" in said

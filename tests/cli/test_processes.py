"""The program as a process: signals, closed pipes and terminals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.cli.worlds import USER

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Spawn

A = str(UUID(int=1))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_ends_well_by_signal(spawn: Spawn, number: signal.Signals) -> None:
    """What it printed stays; the exit code is 0."""
    process = spawn("transitions", "--since", "2026-11-24", "--follow", "--json")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert [json.loads(line)["kind"] for line in lines] == ["appeared", "appeared", "errored"]


@pytest.mark.usefixtures("filled")
def test_following_ends_quietly_when_its_reader_leaves(spawn: Spawn) -> None:
    """``| head -1`` is no failure."""
    process = spawn("transitions", "--since", "2026-11-24", "--json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


@pytest.mark.usefixtures("place")
def test_ctrl_c_while_reading_ends_at_once(spawn: Spawn) -> None:
    """Exit code 130, no traceback."""
    process = spawn("cohort", "import", "-")
    assert process.stdin is not None
    process.stdin.write(f"{A}\n" * 30)
    process.stdin.flush()
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.communicate() == ("", "")


def _at_terminal(place: Path, answer: str, *args: str) -> tuple[int, str]:
    """Run the program on a terminal of its own and answer what it asks."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *args],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm", "COLUMNS": "80"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, answer.encode())
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    return process.wait(timeout=30), seen.decode()


def test_a_person_is_asked_before_anything_is_erased(run: Run, filled: Path) -> None:
    """No is no, yes is yes."""
    code, seen = _at_terminal(filled, "n\n", "cohort", "erase", str(USER))
    assert code == 1
    assert f"Delete every trace of user {USER} of acme?" in seen
    assert "nothing was done" in seen
    assert run("history", str(USER)).stdout
    assert _at_terminal(filled, "y\n", "cohort", "erase", str(USER))[0] == 0
    assert run("history", str(USER)).exit_code == 1


def test_a_terminal_gets_tables_with_whole_ids(filled: Path) -> None:
    """Headers, distances and colours are for people."""
    code, seen = _at_terminal(filled, "", "cohort", "list")
    assert code == 0
    assert "USER" in seen
    assert str(USER) in seen
    assert "ago" in seen
    code, seen = _at_terminal(filled, "", "status")
    assert code == 0
    assert "Connections in error" in seen
    assert "\x1b[31merror" in seen


def test_an_import_shows_its_progress_on_a_terminal(place: Path) -> None:
    """And leaves only the summary behind."""
    (place / "ids.txt").write_text("\n".join(str(UUID(int=each)) for each in range(20_000)))
    code, seen = _at_terminal(place, "", "cohort", "import", "ids.txt")
    assert code == 0
    assert "imported 20,000 users into acme: 20,000 new, 0 known" in seen
    assert "\x1b[?25h" in seen

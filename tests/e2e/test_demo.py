from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the demonstration as a person would."""
    command = [sys.executable, "-m", "monitor", "demo", "--no-live", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def test_the_demonstration_finds_all_and_invents_nothing(tmp_path: Path) -> None:
    """Real processes, real HTTP, a real file: what was made is what was found."""
    done = demo("--users", "40", "--duration", "10s", "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made, found = done.stdout.splitlines()[-1].split(",")[:2]
    assert made.split()[1] == found.split()[1] != "0"
    assert done.stdout.endswith("missed 0, invented 0\n")


def test_a_duration_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    """A newcomer's slip is answered with what was expected."""
    done = demo("--duration", "soon", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected a duration of 5s or more" in done.stderr

"""SQLite is for one daemon; a command line beside it is welcome."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.e2e.processes import stand

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Stand

QUIET = {"users": 3, "seed": 1, "changes": {"per_second": 0}}


def second(stage: Stand, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another process on the same file."""
    command = [sys.executable, "-m", "monitor", *arguments]
    return subprocess.run(
        command, cwd=stage.cwd, env=stage.environ, capture_output=True, text=True, check=False, timeout=30
    )


def started(log: Path) -> None:
    """Return when the daemon says that it runs."""
    until = time.monotonic() + 20
    while "monitor.started" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_second_daemon_on_a_sqlite_file_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    """With one line that names the first one and says what to do; when that is killed another may start."""
    with stand(tmp_path, sqlite_url, QUIET) as stage, stage.daemon() as first:
        started(tmp_path / "daemon.log")
        refused = second(stage, "run")
        assert refused.returncode == 1
        (event,) = refused.stdout.splitlines()
        assert '"event": "monitor.refused"' in event
        (line,) = refused.stderr.splitlines()
        assert f"another monitor (process {first.pid}) runs on " in line
        assert "PostgreSQL" in line
        assert second(stage, "poll").returncode == 0
        first.kill()
        first.wait()
        with stage.daemon("next.log") as after:
            started(tmp_path / "next.log")
            after.send_signal(signal.SIGTERM)
            assert after.wait(20) == 0


def test_any_number_of_daemons_runs_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """Nobody is refused, and all drain."""
    with stand(tmp_path, postgres_url, QUIET) as stage, stage.daemon("a.log") as one, stage.daemon("b.log") as other:
        for name in ("a.log", "b.log"):
            started(tmp_path / name)
        for each in (one, other):
            each.send_signal(signal.SIGTERM)
        assert [each.wait(20) for each in (one, other)] == [0, 0]

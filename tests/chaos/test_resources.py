"""No file descriptors left, and answers as large as they may be: 256 MiB are enough."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest

from tests.chaos.hostile import answering
from tests.chaos.scale import scaled
from tests.chaos.troubled import for_a_while, troubled
from tests.e2e.oncall import free_port
from tests.e2e.processes import environment, process
from tests.e2e.test_log_blocked import metric, until
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

MEMORY_KIB: Final = 256 * 1024
"""What the chart's container may take."""


def status(pid: int, key: str) -> int:
    """Return a figure of ``/proc/PID/status``."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(each for each in lines if each.startswith(key)).split()[1])


def test_no_file_descriptors_left_is_an_outage_and_no_end(tmp_path: Path, sqlite_url: str) -> None:
    """Nothing can be opened for a while; then everything goes on."""
    with troubled(tmp_path, sqlite_url) as world:
        usual = resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE)
        for _ in range(scaled(1, 10)):
            resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE, (3, usual[1]))
            for_a_while(4)
            resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE, usual)
            world.works()
        assert status(world.daemon.pid, "VmHWM") < MEMORY_KIB


def alternating(*shown: dict[str, object]) -> Callable[[], bytes]:
    """Return what says one thing after the other, each so often that most users are shown all of them."""
    bodies = [json.dumps({"providers": each["rows"]}, separators=(",", ":")).encode() for each in shown]
    asked = count()
    return lambda: bodies[next(asked) // 200 % len(bodies)]


def rows(number: int, resources: int, status: str) -> dict[str, object]:
    """Return an answer with so many connections, each with so many resources."""
    available = {f"resource_{n}": {"status": "available" if status == "connected" else "no"} for n in range(resources)}
    return {"rows": [{"slug": f"p{n}", "status": status, "resource_availability": available} for n in range(number)]}


@pytest.mark.parametrize(
    ("number", "resources"), [(1000, 20), (30_000, 0), (1, 30_000)], ids=["all that is read", "rows", "resources"]
)
def test_answers_as_large_as_they_may_be_fit_into_memory(
    tmp_path: Path, sqlite_url: str, number: int, resources: int
) -> None:
    """Two hundred users, a megabyte each, everything about them changing again and again."""
    body = alternating(rows(number, resources, "connected"), rows(number, resources, "error"))
    port, users = free_port(), "\n".join(str(UUID(int=n + 1)) for n in range(200))
    with answering(body) as url:
        environ = environment(sqlite_url, url) | {"MONITOR_HTTP__PORT": str(port), "MONITOR_POLL__TIMEOUT": "15s"}
        for once, told in ((("db", "upgrade"), None), (("cohort", "import", "-"), users)):
            command = [sys.executable, "-m", "monitor", *once]
            subprocess.run(command, cwd=tmp_path, env=environ, input=told, text=True, check=True, capture_output=True)
        with process("run", cwd=tmp_path, environ=environ, log=tmp_path / "daemon.log") as daemon:
            started(tmp_path / "daemon.log")
            for_a_while(scaled(6, 300))
            until(lambda: metric(port, "junction_monitor_polls_total") > 50, within=60)
            assert status(daemon.pid, "VmHWM") < MEMORY_KIB
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(60) == 0

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from monitor.app.daemon import Daemon
from monitor.app.exit_deadline import ExitDeadline
from monitor.config import load
from tests.cli.conftest import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run, Spawn

NOT_READY = {"ready": False, "failing": {"database": "the schema is at 0001; run: monitor db upgrade"}}


@contextmanager
def daemon(place: Path, answers: dict[str, tuple[int, str]], host: str = "127.0.0.1") -> Iterator[None]:
    """Stand in for the daemon's server, on the port that the configuration in ``place`` then names."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answers[self.path]
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        (place / "config.yaml").write_text(f"{CONFIG}http: {{host: {host}, port: {server.server_port}}}\n")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_daemon_that_lives_and_is_ready_is_said_to(place: Path, run: Run) -> None:
    """Exit code 0; an address that stands for all is asked on loopback."""
    with daemon(place, {"/healthz": (200, "{}"), "/readyz": (200, "{}")}, host="0.0.0.0"):  # noqa: S104 - as in an image
        assert (run("health").exit_code, run("health", "--ready").exit_code) == (0, 0)
        assert [run("health").stderr, run("health", "--ready").stderr] == ["alive\n", "ready\n"]


@pytest.mark.parametrize(
    ("code", "body", "line"),
    [
        (503, json.dumps(NOT_READY), "database: the schema is at 0001; run: monitor db upgrade"),
        (503, json.dumps({"failing": ["scheduler"]}), "scheduler"),
        (503, json.dumps({"failing": {"evaluate": "crashed: ValueError"}}), "evaluate: crashed: ValueError"),
        (404, "not found", "HTTP 404"),
        (500, "[]", "HTTP 500"),
    ],
)
def test_what_fails_is_one_line(place: Path, run: Run, code: int, body: str, line: str) -> None:
    """It is what a probe shows in the pod's events."""
    with daemon(place, {"/readyz": (code, body)}):
        found = run("health", "--ready")
    assert (found.exit_code, found.stderr) == (1, f"monitor: the daemon is not ready: {line}\n")


def test_where_nobody_listens_the_line_names_the_keys(place: Path, run: Run) -> None:
    """No traceback, and no long wait."""
    (place / "config.yaml").write_text(f"{CONFIG}http: {{port: 9}}\n")
    found = run("health")
    assert found.exit_code == 1
    assert found.stderr.startswith("monitor: no daemon answers at http://127.0.0.1:9/healthz (http.host, http.port): ")


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"MONITOR_POLL__INTERVALL": "1m"}, 2, "did you mean MONITOR_POLL__INTERVAL?"),
        (
            {"MONITOR_TARGETS__ACME__API_KEY": "null", "MONITOR_TARGETS__ACME__API_KEY_FILE": "/nowhere/key"},
            2,
            "/nowhere/key",
        ),
        ({"MONITOR_DATABASE__AUTO_MIGRATE": "false"}, 1, "run: monitor db upgrade"),
        (
            {"MONITOR_DATABASE__URL": "sqlite:////nowhere/monitor.db"},
            1,
            "the directory of database.url must be there and writable",
        ),
    ],
)
def test_a_daemon_that_cannot_start_says_why_in_its_log(
    place: Path, spawn: Spawn, settings: dict[str, str], code: int, says: str
) -> None:
    """One event for those who read logs, the same words for who stands before it."""
    del place
    process = spawn("run", env=settings)
    out, err = process.communicate(timeout=30)
    (line,) = [json.loads(each) for each in out.splitlines()]
    assert (process.returncode, line["level"], line["event"]) == (code, "error", "monitor.refused")
    assert says in line["reason"]
    assert says in err


def test_a_daemon_that_waits_for_its_database_is_alive(place: Path) -> None:
    """A restart would not bring the database back, however long it is away."""
    daemon = Daemon(load(place / "config.yaml", {}), ExitDeadline())
    daemon._scheduler._ticked_at = float("-inf")
    assert daemon._what_fails() == []

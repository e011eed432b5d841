from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[1] / "simulator" / "vendor_example.json"
USER = "7d3b52a0-9f3c-4d0e-8b8b-0d6f1a2b3c4d"


class Vendor(BaseHTTPRequestHandler):
    """Serves the vendor's own example answer, or what became of it."""

    answer: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def base_url() -> Iterator[str]:
    """Give the address of the example server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


def test_the_vendors_example_goes_all_the_way(base_url: str, tmp_path: Path) -> None:
    """Its rows become a baseline; broken as the vendor's other example says, they become one error."""
    environ = {
        "PATH": os.environ["PATH"],
        "MONITOR_TARGETS__X__API_KEY": "sk_us_x",
        "MONITOR_TARGETS__X__BASE_URL": base_url,
    }

    def monitor(*arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "monitor", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    Vendor.answer = json.loads(EXAMPLE.read_text())
    monitor("cohort", "add", USER)
    baseline = monitor("poll", USER, "--json")
    assert [(each["kind"], each["provider"], each["baseline"]) for each in baseline] == [("appeared", "fitbit", True)]
    assert monitor("poll", USER, "--json") == []
    Vendor.answer["providers"][0] |= {
        "status": "error",
        "error_details": {
            "error_type": "deregistered_per_provider",
            "error_message": "The user has deregistered the connection per notification from Garmin.",
            "errored_at": "2010-01-24T23:45:32+00:00",
        },
    }
    (broken,) = monitor("poll", USER, "--json")
    assert (broken["kind"], broken["previous_status"], broken["errored_at"]) == (
        "errored",
        "connected",
        "2010-01-24T23:45:32Z",
    )
    assert monitor("alerts", "--all", "--json") == []  # it is for the daemon to decide, with its policy and sinks
    (snapshot,) = monitor("history", USER, "--at", baseline[0]["observed_at"], "--json")
    assert [each["status"] for each in snapshot["connections"]] == ["connected"]

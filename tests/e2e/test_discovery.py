"""Discovery by two replicas: one of them at a time, once in each interval."""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.e2e.processes import stand

if TYPE_CHECKING:
    from pathlib import Path

QUIET = {"users": 3, "seed": 1, "changes": {"per_second": 0}}
EVERY = timedelta(seconds=3)


def finished(*logs: Path) -> list[dict[str, Any]]:
    """Return the discoveries that ended, in the order of time."""
    lines = [json.loads(line) for log in logs if log.exists() for line in log.read_text().splitlines()]
    return sorted((each for each in lines if each["event"] == "discovery.finished"), key=lambda each: each["timestamp"])


def test_two_replicas_discover_in_turn(tmp_path: Path, postgres_url: str) -> None:
    """A user that is new at Junction is registered within the interval, and the list is read no oftener than that."""
    settings = {"TARGETS__SIM__DISCOVER": "true", "TARGETS__SIM__DISCOVER_INTERVAL": f"{EVERY.total_seconds():g}s"}
    with (
        stand(tmp_path, postgres_url, QUIET, **settings) as stage,
        stage.daemon("a.log") as one,
        stage.daemon("b.log") as other,
    ):
        logs = [tmp_path / "a.log", tmp_path / "b.log"]
        until = time.monotonic() + 30
        while len(finished(*logs)) < 3:
            assert time.monotonic() < until
            if len(finished(*logs)) == 1 and stage.stats()["users"] == 3:
                stage.control("change", do="new_user")
            time.sleep(0.1)
        for each in (one, other):
            each.send_signal(signal.SIGTERM)
        assert [each.wait(20) for each in (one, other)] == [0, 0]
    found = finished(*logs)
    times = [datetime.fromisoformat(each["timestamp"]) for each in found]
    assert all(after - before >= EVERY - timedelta(seconds=1) for before, after in pairwise(times))
    assert sum(each["added"] for each in found) == 1
    assert found[-1]["listed"] == 4

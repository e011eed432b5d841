"""A scene in which every panel of every dashboard has something to show: all of it real but Junction."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from tests.e2e.oncall import free_port, prometheus
from tests.e2e.processes import process, stand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import Stand

WORLD: Final = {
    "users": 300,
    "seed": 11,
    "changes": {"per_second": 1.5, "from": 2, "rest": 6},
    "timeline": [
        {"at": 0, "do": "fault", "fault": "latency", "delay": "40ms"},
        {"at": 3, "do": "fault", "fault": "status", "status": 403, "users": [0]},
        {"at": 1, "do": "fault", "fault": "malformed_row", "share": 0.02},
        {"at": 12, "do": "fault", "fault": "throttle_bare", "for": "2s"},
        {"at": 14, "do": "wave", "provider": "fitbit", "error_type": "token_refresh_failed", "share": 0.5},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where to ask: Prometheus' address, PostgreSQL's, and since when (seconds since 1970) there is something."""

    prometheus: str
    database: str
    since: float

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression yields now."""
        return self._ask("query", {"query": expr})

    def over_time(self, expr: str, step: float = 1) -> list[dict[str, Any]]:
        """Return what an expression yielded since the beginning."""
        return self._ask("query_range", {"query": expr, "start": self.since, "end": time.time(), "step": step})

    def _ask(self, how: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.prometheus}/api/v1/{how}", params=params, trust_env=False)
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


@contextmanager
def played(place: Path, database: str, seconds: float, world: dict[str, Any] = WORLD) -> Iterator[Scene]:
    """Play the scene for so long with two replicas, and then let it be asked."""
    settings = {"POLL__INTERVAL": "3s", "ALERTS__INCIDENT__WITHIN": "1h"}
    settings |= {"TARGETS__SIM__MAX_REQUESTS_PER_SECOND": "250"}
    with ExitStack() as stack:
        stage = stack.enter_context(stand(place, database, world, **settings))
        daemons = [stack.enter_context(_daemon(stage, f"{name}.log")) for name in ("a", "b")]
        since = time.time()
        watch = stack.enter_context(prometheus(place / "prometheus", daemons, "http://127.0.0.1:9"))
        time.sleep(seconds)
        yield Scene(prometheus=watch, database=database, since=since)


@contextmanager
def _daemon(stage: Stand, log: str) -> Iterator[str]:
    port = free_port()
    environ = {**stage.environ, "MONITOR_HTTP__PORT": str(port)}
    with process("run", cwd=stage.cwd, environ=environ, log=stage.cwd / log):
        yield f"127.0.0.1:{port}"

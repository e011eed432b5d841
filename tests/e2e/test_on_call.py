"""The whole of it: two daemons on PostgreSQL, Prometheus with the rules, Alertmanager with the routes, a receiver.

A provider wave and a revoked key arrive where people are told, once each, and resolve.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.delivery.receiver import receiving
from tests.e2e.oncall import JOB, alertmanager, free_port, prometheus, value
from tests.e2e.processes import process, stand
from tests.e2e.test_one_daemon import started
from tests.e2e.test_wave import heal, largest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.delivery.receiver import Receiver
    from tests.e2e.processes import Stand

pytestmark = [pytest.mark.tools, pytest.mark.timeout(300)]

QUIET: Final = {"users": 60, "seed": 5, "changes": {"per_second": 0}}
RUNBOOKS: Final = "https://runbooks.example.com/junction-monitor"
LONG: Final = 90.0
Step = tuple[str, str, str]
"""Name, state and beginning of an alert that somebody was told."""


async def test_a_wave_and_a_revoked_key_are_told_once_each_and_resolve(tmp_path: Path, postgres_url: str) -> None:
    """An incident with its members quiet; then the key, and nothing that follows from it."""
    async with receiving() as receiver:
        with ExitStack() as stack:
            tell = stack.enter_context(alertmanager(tmp_path / "alertmanager", receiver.url))
            stage = await asyncio.to_thread(stack.enter_context, _stage(tmp_path, postgres_url, tell))
            daemons = [stack.enter_context(_daemon(stage, name)) for name in ("a.log", "b.log")]
            for name in ("a.log", "b.log"):
                await asyncio.to_thread(started, tmp_path / name)
            watch = stack.enter_context(prometheus(tmp_path / "prometheus", [at for _, at in daemons], tell))
            await _until(lambda: _both_are_scraped(watch), "two replicas in Prometheus")
            await _tells(receiver, "Watchdog", "firing")
            before = told(receiver)
            await _wave(stage, receiver)
            await _revoked_key(stage, receiver)
            _once_each(receiver, before)
            for each, _ in daemons:
                each.send_signal(signal.SIGTERM)
            assert [await asyncio.to_thread(each.wait, 30) for each, _ in daemons] == [0, 0]


async def _wave(stage: Stand, receiver: Receiver) -> None:
    stage.control("change", do="wave", provider=largest(stage), error_type="token_refresh_failed", share=0.8)
    for name in ("JunctionIncident", "JunctionIncidentOpen"):
        await _tells(receiver, name, "firing")
    await asyncio.to_thread(heal, stage)
    for name in ("JunctionIncident", "JunctionIncidentOpen"):
        await _tells(receiver, name, "resolved")
    assert not _is_told(receiver, "JunctionConnectionAlert", "firing"), "members of an incident are nobody's page"


async def _revoked_key(stage: Stand, receiver: Receiver) -> None:
    stage.control("fault", fault="revoked")
    await _tells(receiver, "JunctionTargetRejected", "firing")
    stage.control("fault", do="clear")
    await _tells(receiver, "JunctionTargetRejected", "resolved")
    assert not _is_told(receiver, "JunctionConnectionAlert", "firing"), "a revoked key is no broken connection"


def told(receiver: Receiver) -> Counter[Step]:
    """Return how often each step of each alert was told to a person; a log of everything is none."""
    steps: Counter[Step] = Counter()
    for request in receiver.accepted:
        if request.path.strip("/") not in {"log", "null"}:
            steps.update({(e["labels"]["alertname"], e["status"], e["startsAt"]) for e in request.data["alerts"]})
    return steps


def _is_told(receiver: Receiver, name: str, state: str) -> bool:
    return any((step[0], step[1]) == (name, state) for step in told(receiver))


def _once_each(receiver: Receiver, before: Counter[Step]) -> None:
    """What people were told of is what was injected, each step once, with a runbook."""
    steps = told(receiver) - before
    injected = {"JunctionIncident", "JunctionIncidentOpen", "JunctionTargetRejected"}
    assert {name for name, _, _ in steps} == injected
    assert set(steps.values()) == {1}, steps
    for request in receiver.accepted:
        for alert in request.data["alerts"]:
            assert alert["annotations"]["runbook_url"].startswith(f"{RUNBOOKS}/"), alert


def _both_are_scraped(watch: str) -> bool:
    return value(watch, f'sum(up{{job="{JOB}"}})') == 2


async def _tells(receiver: Receiver, name: str, state: str) -> None:
    await _until(lambda: _is_told(receiver, name, state), f"{name} {state}")


async def _until(found: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(LONG):
            while not found():  # noqa: ASYNC110 - it lies in other processes
                await asyncio.sleep(0.3)
    except TimeoutError:
        raise AssertionError(f"not within {LONG:g} s: {what}") from None


def _stage(cwd: Path, database: str, alertmanager_url: str) -> Any:
    sink = {
        "ALERTS__SINKS__AM__TYPE": "alertmanager",
        "ALERTS__SINKS__AM__URLS": alertmanager_url,
        "ALERTS__SINKS__AM__RESEND_EVERY": "5s",
        "ALERTS__RUNBOOK_BASE_URL": RUNBOOKS,
    }
    return stand(cwd, database, QUIET, **sink)


@contextmanager
def _daemon(stage: Stand, log: str) -> Iterator[tuple[Any, str]]:
    port = free_port()
    environ = {**stage.environ, "MONITOR_HTTP__PORT": str(port)}
    with process("run", cwd=stage.cwd, environ=environ, log=stage.cwd / log) as running:
        yield running, f"127.0.0.1:{port}"

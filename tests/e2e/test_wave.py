"""A provider wave against real daemons: one incident, told once by the log and by a webhook, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.delivery.receiver import receiving
from tests.e2e.processes import alert_lines, await_all_told, findings, stand
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.processes import Stand

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLvKw"
QUIET = {"users": 60, "seed": 5, "changes": {"per_second": 0}}
LOGS = ("a.log", "b.log", "c.log")
LONG = 60.0


def lines(stage: Stand, *logs: str) -> list[dict[str, Any]]:
    """Return alert and incident lines of all daemons."""
    return [line for log in logs if (stage.cwd / log).exists() for line in alert_lines(stage.cwd / log)]


def incidents(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps of incidents."""
    return [each for each in found if each["event"] == "incident.alert"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_wave_is_one_incident_told_once_to_each_sink(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """Its members are quiet, heal, and end it; a daemon is killed while the wave runs."""
    url: str = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    async with receiving() as receiver:
        sink = {
            "ALERTS__SINKS__PAGER__TYPE": "webhook",
            "ALERTS__SINKS__PAGER__URL": f"{receiver.url}/hook",
            "ALERTS__SINKS__PAGER__SECRET": SECRET,
            "ALERTS__SINKS__PAGER__MAX_PER_MINUTE": "null",
        }
        await asyncio.to_thread(_play, tmp_path, url, sink, two=kind == "postgresql")
        found = [line for log in LOGS if (tmp_path / log).exists() for line in alert_lines(tmp_path / log)]
        waves = {(each["alert_id"], each["state"], each["updates"]) for each in incidents(found)}
        assert len({each for each, _, _ in waves}) == 1
        assert {state for _, state, _ in waves} == {"firing", "resolved"}
        posted = [each.data["data"] for each in receiver.accepted]
        assert waves == {(each["alert_id"], each["state"], each["updates"]) for each in posted if "users" in each}
        members = [each for each in found if each["event"] == "connection.alert" and each["incident_id"]]
        assert {each["severity"] for each in members} == {"info"}
        told = {(each["alert_id"], each["state"]) for each in found if each["event"] == "connection.alert"}
        assert told == {(each["alert_id"], each["state"]) for each in posted if "user_id" in each}
        for each in receiver.accepted:
            Webhook(SECRET).verify(each.body, each.headers)


def _play(cwd: Path, url: str, sink: dict[str, str], *, two: bool) -> None:
    """Let most of a provider break, kill a daemon, start another, let all heal, and drain."""
    names = ("a.log", "b.log") if two else ("a.log",)
    with stand(cwd, url, QUIET, **sink) as stage, ExitStack() as stack:
        first, *others = [stack.enter_context(stage.daemon(name)) for name in names]
        for name in names:
            started(cwd / name)
        stage.control("change", do="wave", provider=largest(stage), error_type="token_refresh_failed", share=0.8)
        _until(lambda: incidents(lines(stage, *names)) != [], "an incident")
        first.kill()
        first.wait()
        last = stack.enter_context(stage.daemon("c.log"))
        heal(stage)
        _until(lambda: _is_over(stage), "the end of the incident")
        await_all_told(url)
        for each in [*others, last]:
            each.send_signal(signal.SIGTERM)
            assert each.wait(20) == 0
        found = findings(stage)
        found.assert_exact()
        found.assert_told([cwd / log for log in LOGS if (cwd / log).exists()])


def _until(found: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + LONG
    while not found():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


def _is_over(stage: Stand) -> bool:
    return any(each["state"] == "resolved" for each in incidents(lines(stage, *LOGS)))


def _truth(stage: Stand) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stage.simulator}/_simulator/truth", trust_env=False).json()
    return found


def largest(stage: Stand) -> str:
    """Return the provider with the most connections, so that most of them are an incident."""
    slugs = Counter(slug for user in _truth(stage).values() for slug in user["connections"])
    slug = max(slugs, key=lambda each: slugs[each])
    assert slugs[slug] >= 10
    return str(slug)


def heal(stage: Stand) -> None:
    """Heal all connections that a wave broke."""
    for user_id, user in _truth(stage).items():
        for slug, row in user["connections"].items():
            if row["error_type"] == "token_refresh_failed":
                stage.control("change", do="heal", user_id=user_id, provider=slug)

"""Commands that ask Junction, against a simulated one in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.cli.worlds import UNKNOWN

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run, Spawn

SCENARIO = """\
users: 12
api_key: sk_us_simulated
timeline: []
"""


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def simulated(place: Path, spawn: Spawn) -> Iterator[str]:
    """Start a simulated Junction of 12 users in which nothing changes, and point the configuration at it."""
    (place / "world.yaml").write_text(SCENARIO)
    process = spawn("simulate", "--port", "0", "--scenario", "world.yaml")
    address = _address(process)
    config = f"targets:\n  acme: {{base_url: '{address}', api_key: sk_us_simulated}}\npoll: {{timeout: 1s}}\n"
    (place / "config.yaml").write_text(config)
    yield address
    process.terminate()
    process.communicate(timeout=30)


def _cohort(run: Run) -> list[str]:
    return [json.loads(line)["user_id"] for line in run("cohort", "list", "--json").stdout.splitlines()]


@pytest.mark.usefixtures("simulated")
def test_sync_registers_every_user_that_the_target_lists(run: Run) -> None:
    """A second time there is nothing new."""
    first, again = run("cohort", "sync"), run("cohort", "sync")
    assert (first.exit_code, first.stdout) == (0, "")
    assert first.stderr == "acme lists 12 users: 12 new, 0 known\n"
    assert again.stderr == "acme lists 12 users: 0 new, 12 known\n"
    assert len(_cohort(run)) == 12


def test_sync_that_gets_no_list_fails(run: Run) -> None:
    """The line says why."""
    result = run("cohort", "sync")
    assert result.exit_code == 1
    assert "monitor: the list of acme is not complete: no answer (connect)" in result.stderr


@pytest.mark.usefixtures("simulated")
def test_poll_prints_what_it_committed(run: Run) -> None:
    """The transitions on standard output, the summary beside."""
    run("cohort", "sync")
    first, again = run("poll", "--json"), run("poll")
    printed = [json.loads(line) for line in first.stdout.splitlines()]
    stored = [json.loads(line) for line in run("transitions", "--json").stdout.splitlines()]
    assert first.exit_code == 0
    assert first.stderr == "polled 12 users of acme: 12 changed\n"
    assert sorted(each["id"] for each in printed) == sorted(each["id"] for each in stored)
    assert all(each["baseline"] for each in printed)
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "polled 12 users of acme: 12 unchanged\n")


@pytest.mark.usefixtures("simulated")
def test_poll_of_named_users_asks_for_no_others(run: Run) -> None:
    """One that is no member is reported."""
    run("cohort", "sync")
    user = _cohort(run)[0]
    result = run("poll", user, str(UNKNOWN))
    assert result.exit_code == 1
    assert result.stderr.startswith("polled 1 user of acme: 1 changed\n")
    assert f"{UNKNOWN}: not polled" in result.stderr


def test_poll_that_observes_nothing_fails(run: Run) -> None:
    """The outcome is named."""
    run("cohort", "add", str(UNKNOWN))
    result = run("poll")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "polled 1 user of acme: 1 unavailable\n" in result.stderr


def test_what_simulate_says_is_enough_to_use_it(run: Run, spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables it prints make a target; SIGTERM ends it well."""
    process = spawn("simulate", "--port", "0", "--users", "3", "--seed", "7")
    address = _address(process)
    assert process.stderr is not None
    assert "3 users, its key is sk_us_simulated" in process.stderr.readline()
    for word in process.stderr.readline().split():
        if word.startswith("MONITOR_"):
            monkeypatch.setenv(*word.split("=", 1))
    assert run("cohort", "sync", "--target", "simulated").stderr == "simulated lists 3 users: 3 new, 0 known\n"
    answer = httpx.get(f"{address}/v2/user", headers={"x-vital-api-key": "sk_us_simulated"})
    assert answer.json()["total"] == 3
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_bad_scenario_is_bad_configuration(run: Run, place: Path) -> None:
    """A line for each fault, naming file and key."""
    (place / "bad.yaml").write_text("users: many\nseeds: 1\n")
    result = run("simulate", "--scenario", "bad.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert sorted(line.split(": ")[1] for line in result.stderr.splitlines()) == ["seeds", "users"]


def test_a_port_that_is_taken_is_one_line(run: Run) -> None:
    """Failed while working."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("simulate", "--port", str(server.getsockname()[1]))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "address already in use" in result.stderr

"""``monitor status``, ``history`` and ``transitions`` over a real database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.worlds import OTHER, UNKNOWN, USER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("filled")


def _records(run: Run, *args: str) -> list[dict[str, Any]]:
    result = run(*args, "--json")
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_status_counts_and_lists_what_is_in_error(run: Run) -> None:
    """Users by state, connections by provider, status and error type, then those in error."""
    users, *counts, connection = _records(run, "status")
    assert {key: users[key] for key in ("record", "target", "active", "paused", "gone")} == {
        "record": "users",
        "target": "acme",
        "active": 2,
        "paused": 0,
        "gone": 0,
    }
    assert users["latest_observed_at"] == "2026-11-24T03:15:02Z"
    assert [(each["provider"], each["status"], each["error_type"], each["connections"]) for each in counts] == [
        ("fitbit", "error", "token_refresh_failed", 1),
        ("oura", "connected", None, 1),
    ]
    assert connection["record"] == "connection"
    assert (connection["user_id"], connection["provider"]) == (str(USER), "fitbit")
    assert (connection["since"], connection["error_message"]) == ("2026-11-24T03:15:02Z", "expired")


def test_filters_narrow_counts_and_connections(run: Run) -> None:
    """With a status it is the connections in that status that are listed."""
    _, count, connection = _records(run, "status", "--status", "connected")
    assert (count["provider"], connection["provider"]) == ("oura", "oura")
    _, count = _records(run, "status", "--provider", "oura")
    assert count["provider"] == "oura"
    assert len(_records(run, "status", "--target", "acme")) == 4


def test_status_of_one_user_lists_all_of_its_connections(run: Run) -> None:
    """The counts are that user's own."""
    records = _records(run, "status", "--user", str(USER))
    assert [each["record"] for each in records] == ["counts", "counts", "connection", "connection"]
    nothing = run("status", "--user", str(OTHER))
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "no connections\n")


def test_status_in_a_pipe_names_each_line(run: Run) -> None:
    """So that a script can tell them apart."""
    lines = [line.split("\t") for line in run("status").stdout.splitlines()]
    assert [line[0] for line in lines] == ["users", "counts", "counts", "connection"]
    assert lines[3][1:4] == [str(USER), "fitbit", "error"]


def test_history_tells_what_happened_oldest_first(run: Run) -> None:
    """What the first snapshot showed, then the difference."""
    records = _records(run, "history", str(USER))
    assert [(each["provider"], each["kind"], each["baseline"]) for each in records] == [
        ("fitbit", "appeared", True),
        ("oura", "appeared", True),
        ("fitbit", "errored", False),
    ]


def test_history_of_a_user_without_any_says_so(run: Run) -> None:
    """An unknown user is a failure, one that was never polled is not."""
    never, unknown = run("history", str(OTHER)), run("history", str(UNKNOWN))
    assert (never.exit_code, never.stderr) == (0, f"{OTHER}: nothing happened yet\n")
    assert (unknown.exit_code, unknown.stderr) == (1, f"{UNKNOWN}: not known to any target\n")


def test_history_at_a_time_is_the_snapshot_that_stood_then(run: Run) -> None:
    """Before it broke, and after."""
    before, *_ = _records(run, "history", str(USER), "--at", "2026-11-24T04:00:00+01:00")
    after, *_ = _records(run, "history", str(USER), "--at", "2026-11-24T03:15:02Z")
    assert list(before) == [
        "user_id",
        "target",
        "at",
        "first_observed_at",
        "last_observed_at",
        "gone",
        "connections",
    ]
    assert (before["at"], before["gone"]) == ("2026-11-24T03:00:00Z", False)
    assert {each["provider"]: each["status"] for each in before["connections"]} == {
        "fitbit": "connected",
        "oura": "connected",
    }
    assert {each["provider"]: each["error_type"] for each in after["connections"]} == {
        "fitbit": "token_refresh_failed",
        "oura": None,
    }


def test_history_before_the_first_snapshot_is_a_clear_line(run: Run) -> None:
    """Nothing was known then."""
    result = run("history", str(USER), "--at", "2020-01-01")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{USER}: nothing was known yet at 2020-01-01 00:00:00Z\n"


def test_history_at_a_time_is_a_table_for_people(run: Run) -> None:
    """With the resources that were not available."""
    lines = run("history", str(USER), "--at", "2026-11-24T03:00:00Z").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["fitbit", "connected"], ["oura", "connected"]]
    assert "sleep" in lines[1]


def test_transitions_are_chosen_by_time_user_provider_and_kind(run: Run) -> None:
    """Since is inclusive, until is not."""
    everything = ("transitions", "--since", "2026-11-24")
    assert len(_records(run, *everything)) == 3
    assert len(_records(run, *everything, "--until", "2026-11-24T03:15:02Z")) == 2
    assert len(_records(run, "transitions", "--since", "2026-11-24T03:15:02Z")) == 1
    assert len(_records(run, *everything, "--provider", "oura", "--target", "acme")) == 1
    assert len(_records(run, *everything, "--kind", "errored", "--user", str(USER))) == 1
    assert not _records(run, *everything, "--user", str(OTHER))


def test_the_same_transition_has_the_same_form_everywhere(run: Run) -> None:
    """History and transitions print the same objects."""
    assert _records(run, "transitions", "--since", "2026-11-24") == _records(run, "history", str(USER))


def test_a_user_of_several_targets_must_be_told_apart(run: Run, place: Path) -> None:
    """The line lists the targets that know it."""
    second = "  beta: {base_url: 'http://127.0.0.1:9', api_key: sk_us_0123456789}\n"
    (place / "config.yaml").write_text((place / "config.yaml").read_text().replace("database", f"{second}database"))
    assert len(_records(run, "history", str(USER))) == 3
    run("cohort", "add", str(USER), "--target", "beta")
    result = run("history", str(USER))
    assert result.exit_code == 2
    assert result.stderr.endswith("name one: --target acme|beta\n")
    assert len(_records(run, "history", str(USER), "--target", "acme")) == 3


def test_status_says_where_the_rate_cannot_hold_the_interval(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line for a person, and in figures for a script."""
    monkeypatch.setenv("MONITOR_TARGETS__ACME__MAX_REQUESTS_PER_SECOND", "0.001")
    assert run("status").stderr.splitlines() == [
        (
            "monitor: acme: 2 users every 15m need 0.002222 requests a second, max_requests_per_second is 0.001; "
            "everyone is polled every 2025s instead"
        )
    ]
    users = _records(run, "status")[0]
    assert (users["needed_requests_per_second"], users["max_requests_per_second"]) == (0.002, 0.001)

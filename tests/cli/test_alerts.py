"""``monitor alerts``, ``explain`` and ``backtest`` over a real database in which some alerts were decided."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from monitor.cli.session import opened
from monitor.config import load
from monitor.core.policy import Flapping, IncidentRule, Policy, Severity
from tests.cli.worlds import NOW, OTHER, UNKNOWN, USER, World, fitbit
from tests.poller.evaluators import quiet_evaluator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

WAVE = [UUID(int=100 + each) for each in range(6)]
MINUTE = timedelta(minutes=1)
POLICY = Policy(
    confirm_for_error_types={"user_not_found": timedelta(hours=1)},
    flapping=Flapping(),
    incident=IncidentRule(),
    severities={"unknown": Severity.NONE},
)


async def _live(place: Path) -> None:
    async with opened(load(place / "config.yaml", {})) as store:
        world, now = World(store), NOW
        evaluator = quiet_evaluator(store.alerts, POLICY, lambda: now)
        await world.register(USER, OTHER, *WAVE)
        for user in (USER, OTHER, *WAVE):
            await world.see(user, fitbit(), at=now - 30 * MINUTE)
        steps = (
            [(USER, fitbit("error", error_type="provider_credential_error"))],
            [(USER, fitbit())],
            [(each, fitbit("error")) for each in WAVE],
            [(USER, fitbit("error", error_type="unknown"))],
            [(OTHER, fitbit("error", error_type="user_not_found"))],
        )
        for step in steps:
            now += MINUTE
            for user, row in step:
                await world.see(user, row, at=now)
            await evaluator.decide()


@pytest.fixture(autouse=True)
def _decided(place: Path) -> None:
    """Let one connection break and heal, six break at once, one break in a way that is muted, and one wait."""
    asyncio.run(_live(place))


def records(run: Run, *args: str) -> list[dict[str, Any]]:
    """Return what a command prints as JSON."""
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_open_alerts_and_incidents_are_listed(run: Run) -> None:
    """First the incident, then its members, quiet, and what waits."""
    incident, *alerts = records(run, "alerts")
    assert (incident["record"], incident["provider"], incident["users"], incident["broken"]) == (
        "incident",
        "fitbit",
        6,
        6,
    )
    members = [each for each in alerts if each["incident_id"] == incident["incident_id"]]
    assert {each["severity"] for each in members} == {"info"}
    assert {each["user_id"] for each in members} == {str(each) for each in WAVE}
    (waiting,) = [each for each in alerts if each["state"] == "pending"]
    assert (waiting["user_id"], waiting["due_at"]) == (str(OTHER), "2026-11-24T04:20:02Z")
    assert len(alerts) == 7


def test_past_alerts_are_listed_with_all(run: Run) -> None:
    """With why they fired, and why they ended."""
    past = [each for each in records(run, "alerts", "--since", "2026-11-24") if each["state"] == "resolved"]
    assert [(each["error_type"], each["fired_reason"], each["reason"]) for each in past] == [
        ("provider_credential_error", "it is new", "recovered ends it")
    ]
    assert len(records(run, "alerts", "--since", "2026-11-24T03:30:00Z")) == 8


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--user", str(WAVE[0])), 1),
        (("--user", str(USER)), 0),
        (("--provider", "oura"), 0),
        (("--severity", "info"), 6),
        (("--severity", "critical"), 1),
        (("--target", "acme"), 8),
    ],
)
def test_alerts_are_chosen(run: Run, filters: tuple[str, ...], count: int) -> None:
    """By user (no incidents), provider, severity and target."""
    assert len(records(run, "alerts", *filters)) == count


def test_alerts_in_a_pipe_name_each_line(run: Run) -> None:
    """So that a script can tell them apart."""
    lines = [line.split("\t") for line in run("alerts").stdout.splitlines()]
    assert [line[0] for line in lines] == ["incident", *["alert"] * 7]
    assert lines[0][1:5] == ["fitbit", "token_refresh_failed", "critical", "firing"]


def test_no_alerts_is_said(run: Run) -> None:
    """On standard error; nothing went wrong."""
    nothing = run("alerts", "--provider", "oura")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "no open alerts\n")


def test_a_wrong_severity_is_refused(run: Run) -> None:
    """With what there is."""
    wrong = run("alerts", "--severity", "loud")
    assert wrong.exit_code == 2
    assert "--severity: expected one of: info, warning, critical, got 'loud'" in wrong.stderr


def test_a_user_s_story_is_told(run: Run) -> None:
    """What was seen, what was decided on it and why, and why something was not told."""
    lines = run("explain", str(USER)).stdout.splitlines()
    story = [line.split("\t")[1:] for line in lines if line.startswith("2026")]
    assert [each[1] for each in story] == [
        "appeared",
        "errored",
        "alert fires",
        "recovered",
        "alert resolved",
        "errored",
    ]
    assert story[2][2] == "warning error: it is new"
    assert lines[0] == f"user      {USER} of acme: active"
    assert lines[-1].startswith("due       the next poll ")


def test_what_is_due_next_is_told(run: Run) -> None:
    """An alert that waits for its confirmation."""
    lines = run("explain", str(OTHER)).stdout.splitlines()
    (due,) = [line for line in lines if "fitbit error alert" in line]
    assert due.startswith("due       the fitbit error alert fires 2026-11-24 04:20:02Z")
    member = run("explain", str(WAVE[0])).stdout
    assert "open      the fitbit error alert, until it heals" in member
    assert "member of incident" in member


def test_a_muted_error_is_explained(run: Run, place: Path) -> None:
    """By the configuration as it is now."""
    (place / "config.yaml").write_text((place / "config.yaml").read_text() + "alerts: {severities: {unknown: none}}\n")
    assert "no alert: its severity is none" in run("explain", str(USER)).stdout


def test_an_unknown_user_has_no_story(run: Run) -> None:
    """That is a failure."""
    unknown = run("explain", str(UNKNOWN))
    assert (unknown.exit_code, unknown.stderr) == (1, f"{UNKNOWN}: not known to any target\n")


def test_a_backtest_tells_what_another_policy_would_have_fired(run: Run, place: Path) -> None:
    """Beside the present one, from the stored transitions alone."""
    (place / "quiet.yaml").write_text("alerts: {incident: null, severities: {token_refresh_failed: critical}}\n")
    found = records(run, "backtest", "--policy", "quiet.yaml", "--since", "2026-11-24", "--until", "2026-11-25")
    totals = {each["policy"]: each for each in found if each["record"] == "total"}
    assert (totals["proposed"]["critical"], totals["proposed"]["incidents"]) == (6, 0)
    assert (totals["present"]["critical"], totals["present"]["info"], totals["present"]["incidents"]) == (1, 6, 1)
    days = [each for each in found if each["record"] == "day" and each["policy"] == "proposed"]
    assert [(each["day"], each["severity"], each["fired"]) for each in days] == [
        ("2026-11-24", "critical", 6),
        ("2026-11-24", "warning", 3),
    ]
    (incident,) = [each for each in found if each["record"] == "incident" and each["state"] == "firing"]
    assert (incident["policy"], incident["users"]) == ("present", 6)


def test_a_backtest_is_what_the_daemon_decided(run: Run, place: Path) -> None:
    """With the daemon's own policy, over the same transitions: alert by alert, with the same ids."""
    severities = "severities: {unknown: none}, confirm_for_error_types: {user_not_found: 1h}"
    (place / "same.yaml").write_text(f"alerts: {{{severities}}}\n")
    found = records(
        run, "backtest", "--policy", "same.yaml", "--since", "2026-11-24", "--until", "2026-11-24T03:30:00Z"
    )
    would = {
        (each["alert_id"], each["state"]) for each in found if each.get("policy") == "proposed" and "alert_id" in each
    }
    kept = [each for each in records(run, "alerts", "--since", "2026-11-24") if each["state"] != "pending"]
    did = {(each.get("alert_id") or each["incident_id"], each["state"]) for each in kept}
    assert did <= would
    assert {each for each, _ in would} == {each for each, _ in did}


def test_a_backtest_for_people_has_days_and_totals(run: Run, place: Path) -> None:
    """In a pipe a line each."""
    (place / "same.yaml").write_text("{}\n")
    lines = run("backtest", "--policy", "same.yaml", "--since", "2026-11-24", "--until", "2026-11-25").stdout
    assert [line.split("\t")[:2] for line in lines.splitlines()] == [
        ["day", "2026-11-24"],
        ["total", "proposed"],
        ["total", "present"],
    ]


def test_a_backtest_of_a_quiet_time_says_so(run: Run, place: Path) -> None:
    """Nothing happened then."""
    (place / "same.yaml").write_text("{}\n")
    quiet = run("backtest", "--policy", "same.yaml", "--since", "2025-01-01", "--until", "2025-01-02")
    assert quiet.stderr == "nothing would have fired between 2025-01-01 00:00:00Z and 2025-01-02 00:00:00Z\n"


def test_a_backtest_with_a_bad_policy_or_span_is_refused(run: Run, place: Path) -> None:
    """In one clear line."""
    (place / "bad.yaml").write_text("alerts: {flapping: {transitions: many}}\n")
    bad = run("backtest", "--policy", "bad.yaml")
    assert (bad.exit_code, bad.stderr) == (
        2,
        "bad.yaml: alerts.flapping.transitions: expected a whole number, got 'many'\n",
    )
    (place / "same.yaml").write_text("{}\n")
    upside_down = run("backtest", "--policy", "same.yaml", "--since", "1h", "--until", "2h")
    assert upside_down.exit_code == 2
    assert "--until: expected a time after --since" in upside_down.stderr

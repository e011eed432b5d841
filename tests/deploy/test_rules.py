from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import pytest
import yaml

from tests.deploy.promtool import FOUND, LONG, Alert, Clock, Counter, Gauge, Values, stories
from tests.test_readme import exported

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
FILES: Final = (PLACE / "recording.rules.yaml", PLACE / "alerting.rules.yaml")
TARGET: Final = 'target="acme"'
RUNBOOKS: Final = "https://runbooks.example.com/junction-monitor"
USERS: Final = {f'junction_users{{{TARGET}, state="active"}}': Gauge(1000)}
INTERVAL: Final = {f"junction_monitor_poll_interval_seconds{{{TARGET}}}": Gauge(900)}
UP: Final = {f"junction_monitor_target_up{{{TARGET}}}": Gauge(1)}
PROVIDER: Final = FOUND | {"provider": "oura"}
SINK: Final = {"namespace": "health", "job": "junction-monitor", "sink": "pager"}
DELIVERED: Final = 'junction_monitor_alert_deliveries_total{sink="pager", outcome="delivered"}'
GAVE_UP: Final = 'junction_monitor_alert_deliveries_total{sink="pager", outcome="gave_up"}'
WAITING: Final = 'junction_monitor_alerts_undelivered{sink="pager"}'
SEEN: Final = f"junction_users_fresh{{{TARGET}}}"
DELAYS: Final = "junction_connection_detection_delay_seconds"
CRASHED: Final = 'junction_monitor_jobs_crashed_total{exported_job="evaluate"}'
UNSEEN: Final = f'junction_monitor_unseen_users{{{TARGET}, reason="rejected"}}'
PROGRAM: Final = {"namespace": "health", "job": "junction-monitor"}
DOWN: Final = {f"junction_monitor_target_up{{{TARGET}}}": Gauge(0)}


def polls(good: int, bad: int, outcome: str = "timeout", until: int = LONG) -> dict[str, Values]:
    """Return counters of polls that move by so many a minute; the bad ones end in ``outcome``, the good ones stop."""
    name = "junction_monitor_polls_total"
    return {
        f'{name}{{{TARGET}, outcome="unchanged"}}': Counter(good, until),
        f'{name}{{{TARGET}, outcome="{outcome}"}}': Counter(bad),
    }


def undecided(count: float, oldest: Values) -> dict[str, Values]:
    """Return so many transitions that wait for evaluation, the oldest of them since ``oldest``."""
    return {
        "junction_monitor_undecided_transitions": Gauge(count),
        "junction_monitor_oldest_undecided_timestamp_seconds": oldest,
    }


def paused(users: Values) -> dict[str, Values]:
    """Return 1,000 active users, and beside them those that are paused."""
    return USERS | {f'junction_users{{{TARGET}, state="paused"}}': users}


def delays(early: int, late: int) -> dict[str, Values]:
    """Return a histogram that gets so many delays a minute, of up to 15 minutes and of up to two hours."""
    return {
        f'{DELAYS}_bucket{{{TARGET}, le="900"}}': Counter(early),
        f'{DELAYS}_bucket{{{TARGET}, le="7200"}}': Counter(early + late),
        f'{DELAYS}_bucket{{{TARGET}, le="+Inf"}}': Counter(early + late),
        f"{DELAYS}_count{{{TARGET}}}": Counter(early + late),
    }


def connections(errors: Values) -> dict[str, Values]:
    """Return 100 connections at a provider, of which so many are in error."""
    return {
        f'junction_connections{{{TARGET}, provider="oura", status="connected"}}': Gauge(100),
        f'junction_connection_errors{{{TARGET}, provider="oura", error_type="unknown"}}': errors,
    }


def gauge(name: str, value: float) -> dict[str, Values]:
    """Return one series of a target that does not move."""
    return {f"{name}{{{TARGET}}}": Gauge(value)}


JUST_REJECTED: Final = polls(60, 2, "rejected", until=399) | {
    f"junction_monitor_target_up{{{TARGET}}}": Gauge(1, then=0, since=399)
}
"""A key that was revoked three minutes before the story is first looked at: its last answers are still counted."""

ALERTS: Final = {
    "JunctionMonitorDown": Alert(
        severity="critical",
        bad={"up": Gauge(0)},
        good={"up": Gauge(1)},
        labels=PROGRAM,
    ),
    "JunctionMonitorReplicaDown": Alert(
        severity="warning",
        bad={"up": Gauge(0), 'up{instance="c"}': Gauge(1)},
        good={"up": Gauge(1), 'up{instance="c"}': Gauge(1)},
        labels=PROGRAM,
        each_replica=True,
    ),
    "JunctionMonitorSilent": Alert(
        severity="critical",
        bad=USERS | INTERVAL | UP | gauge("junction_monitor_last_success_timestamp_seconds", 0),
        good=USERS | INTERVAL | UP | {f"junction_monitor_last_success_timestamp_seconds{{{TARGET}}}": Clock()},
    ),
    "JunctionTargetRejected": Alert(
        severity="critical",
        bad=DOWN | polls(0, 2, "rejected"),
        good=UP,
        quiet=(DOWN | polls(60, 30, "gone"), UP | polls(10, 90, "rejected")),
    ),
    "JunctionTargetImplausible": Alert(
        severity="critical",
        bad=DOWN | polls(60, 30, "invalid"),
        good=UP | polls(60, 30, "invalid"),
        quiet=(DOWN | polls(0, 2, "rejected"), DOWN | polls(10, 50), DOWN, JUST_REJECTED),
    ),
    "JunctionAPIFailing": Alert(
        severity="warning",
        # Each alone is less than a tenth.
        bad=polls(80, 6) | polls(80, 6, "throttled"),
        good=polls(99, 1),
        quiet=(polls(80, 20, "rejected"),),
    ),
    "JunctionThrottled": Alert(
        severity="warning",
        bad=gauge("junction_monitor_throttle_factor", 0.25),
        good=gauge("junction_monitor_throttle_factor", 1),
    ),
    "JunctionMonitorOvercommitted": Alert(
        severity="warning",
        bad=gauge("junction_monitor_needed_requests_per_second", 60)
        | gauge("junction_monitor_max_requests_per_second", 50),
        good=gauge("junction_monitor_needed_requests_per_second", 40)
        | gauge("junction_monitor_max_requests_per_second", 50),
    ),
    "JunctionMonitorOverdueUsers": Alert(
        severity="warning",
        bad=USERS | gauge("junction_monitor_overdue_users", 50),
        good=USERS | gauge("junction_monitor_overdue_users", 5),
    ),
    "JunctionUsersUnseen": Alert(
        severity="warning",
        bad=USERS | UP | {UNSEEN: Gauge(11)},
        good=USERS | UP | {UNSEEN: Gauge(10)},
        quiet=(USERS | DOWN | {UNSEEN: Gauge(1000)}, UP | {UNSEEN: Gauge(0)}),
        labels=FOUND | {"reason": "rejected"},
    ),
    "JunctionUsersPausedGrowing": Alert(
        severity="warning",
        bad=paused(Gauge(10, then=60, since=330)),
        good=paused(Gauge(60)),
        quiet=(paused(Gauge(60, then=10, since=330)), paused(Gauge(10, then=20, since=330))),
    ),
    "JunctionCoverageBurnsFast": Alert(
        severity="critical", bad=USERS | {SEEN: Gauge(800)}, good=USERS | {SEEN: Gauge(900)}
    ),
    "JunctionCoverageBurns": Alert(
        severity="critical", bad=USERS | {SEEN: Gauge(900)}, good=USERS | {SEEN: Gauge(960)}
    ),
    "JunctionCoverageBurnsSlowly": Alert(
        severity="warning", bad=USERS | {SEEN: Gauge(980)}, good=USERS | {SEEN: Gauge(995)}
    ),
    "JunctionDetectionDelayHigh": Alert(severity="warning", bad=INTERVAL | delays(1, 1), good=INTERVAL | delays(20, 1)),
    "JunctionMonitorDatabaseLost": Alert(
        severity="critical",
        bad={"junction_monitor_database_up": Gauge(0)},
        good={"junction_monitor_database_up": Gauge(1)},
        labels=PROGRAM,
    ),
    "JunctionMonitorEvaluationStuck": Alert(
        severity="critical",
        bad=undecided(21, Gauge(0)),
        good=undecided(21, Clock()),
        quiet=(undecided(3, Gauge(0)), undecided(0, Gauge(0))),
        labels=PROGRAM,
    ),
    "JunctionMonitorTransitionsUndecided": Alert(
        severity="warning",
        bad=undecided(1, Gauge(0)),
        good=undecided(1, Clock()),
        quiet=(undecided(0, Gauge(0)),),
        labels=PROGRAM,
    ),
    "JunctionMonitorJobsCrashing": Alert(
        severity="warning",
        bad={CRASHED: Counter(1)},
        good={CRASHED: Gauge(3)},
        labels=PROGRAM | {"exported_job": "evaluate"},
    ),
    "JunctionMonitorAlertsNotDelivered": Alert(
        severity="critical",
        bad={WAITING: Gauge(7), DELIVERED: Gauge(5)},
        good={WAITING: Gauge(7), DELIVERED: Counter(1)},
        labels=SINK,
    ),
    "JunctionMonitorAlertsGivenUp": Alert(
        severity="critical", bad={GAVE_UP: Counter(1)}, good={GAVE_UP: Gauge(3)}, labels=SINK
    ),
    "JunctionConnectionErrorShareHigh": Alert(
        severity="warning", bad=connections(Gauge(4, then=30, since=360)), good=connections(Gauge(30)), labels=PROVIDER
    ),
    "JunctionReportedErrorsDrift": Alert(
        severity="warning",
        bad=connections(Gauge(4))
        | {f"junction_reported_errored_connections{{{TARGET}}}": Gauge(10, then=90, since=330)},
        good=connections(Gauge(4)) | gauge("junction_reported_errored_connections", 90),
    ),
    "JunctionIncidentOpen": Alert(
        severity="warning",
        bad={f'junction_incidents{{{TARGET}, provider="oura", error_type="unknown"}}': Gauge(1)},
        good={f'junction_incidents{{{TARGET}, provider="oura", error_type="unknown"}}': Gauge(0)},
        labels=PROVIDER | {"error_type": "unknown"},
    ),
}


def rules(kind: str) -> Iterator[dict[str, Any]]:
    """Yield every rule of a kind: ``alert`` or ``record``."""
    for file in FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (each for each in group["rules"] if kind in each)


def named(expression: str) -> set[str]:
    """Return the metrics that an expression reads."""
    promql_parser.parse(expression)
    bare = re.sub(r'"[^"]*"|(?:by|on|without|ignoring)\s*\([^)]*\)|\{[^}]*\}', "", expression)
    return set(re.findall(r"\b(?:junction[\w:]*|up)\b", bare))


def needed(alert: str) -> Iterator[dict[str, Any]]:
    """Yield the groups as they are deployed, with this alert and what it reads alone: the others cost time."""
    wanted, reads = {alert}, {each.get("record") or each["alert"]: named(each["expr"]) for each in _all_rules()}
    while more := {name for each in wanted for name in reads[each] if name in reads} - wanted:
        wanted |= more
    for file in FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            kept = [each for each in group["rules"] if (each.get("record") or each["alert"]) in wanted]
            if kept:
                yield group | {"rules": kept}


def _all_rules() -> Iterator[dict[str, Any]]:
    yield from rules("alert")
    yield from rules("record")


def test_every_alert_has_its_stories() -> None:
    """No rule goes untested; the watchdog alone fires whatever happens."""
    assert {each["alert"] for each in rules("alert")} == set(ALERTS) | {"Watchdog"}


def test_every_alert_says_what_a_person_needs() -> None:
    """How loud it is, one line, what it means, and where to read on."""
    for each in rules("alert"):
        assert each["labels"]["severity"] in {"critical", "warning", "info", "none"}
        assert set(each["annotations"]) == {"summary", "description", "runbook_url"}
        assert all(each["annotations"].values())
        assert each["annotations"]["runbook_url"] == f"{RUNBOOKS}/{each['alert']}.md"


def test_every_expression_reads_what_the_monitor_exports() -> None:
    """A metric that is renamed silences no rule."""
    known = exported() | {each["record"] for each in rules("record")} | {"up"}
    known |= {f"{name}_{part}" for name in exported() for part in ("bucket", "count", "sum")}
    for each in [*rules("alert"), *rules("record")]:
        assert named(each["expr"]) <= known, each


def test_every_recording_rule_is_read() -> None:
    """None is computed for nobody."""
    read = set().union(*(named(each["expr"]) for each in [*rules("alert"), *rules("record")]))
    assert {each["record"] for each in rules("record")} <= read


@pytest.mark.tools
@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    """In bad and good times, after a restart, with two replicas, through a failed scrape."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": list(needed(name))}))
    cases = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m"}
    file = tmp_path / f"{name}.yaml"
    file.write_text(yaml.safe_dump(cases | {"tests": list(stories(name, ALERTS[name]))}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.tools
def test_the_watchdog_fires_with_nothing_there_and_a_monitor_that_nobody_knows_is_down(tmp_path: Path) -> None:
    """No series at all is the worst case."""
    shown = [
        {"labels": f'{{alertname="{name}", severity="{severity}"}}', "value": 1}
        for name, severity in (("JunctionMonitorDown", "critical"), ("Watchdog", "none"))
    ]
    test = {"expr": 'sum by (alertname, severity) (ALERTS{alertstate="firing"})', "eval_time": "30m"}
    case = {"interval": "1m", "input_series": [], "promql_expr_test": [test | {"exp_samples": shown}]}
    file = tmp_path / "nothing.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(each) for each in FILES], "tests": [case]}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.tools
def test_promtool_has_nothing_to_say() -> None:
    """The syntax, and the labels and templates of every rule."""
    done = subprocess.run(["promtool", "check", "rules", *FILES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

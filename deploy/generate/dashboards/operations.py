"""For who runs the monitor: whether it keeps up, what holds it back, and whether it is heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.generate.dashboards import shared
from deploy.generate.dashboards.frame import filled, scoped, started
from deploy.generate.dashboards.panels import BLUE, GREEN, ORANGE, RED, YELLOW, Panel, lines, number, rows, steps
from deploy.generate.dashboards.queries import SCOPE, WHERE, active, errors, quantile, rate, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

FRESH = top("junction_users_fresh")
OVERDUE = top("junction_monitor_overdue_users")
NEEDED = top("junction_monitor_needed_requests_per_second")
ALLOWED = top("junction_monitor_max_requests_per_second")
GOOD = {"unchanged": GREEN, "changed": BLUE, "throttled": ORANGE, "rejected": RED, "unavailable": RED, "timeout": RED}
RECENT = "15m"


def board() -> Dashboard:
    """Return the dashboard."""
    made = scoped(started("junction-operations", "Junction / Operations", "The monitor itself, for who runs it."))
    return filled(
        made,
        {
            "Now": _now(),
            "Polling": _polling(),
            "Users that are not watched": _unwatched(),
            "Rate budget": _budget(),
            "Evaluation and jobs": _jobs(),
            "Database and delivery": _database(),
            "Process": _process(),
        },
    )


def _now() -> tuple[Panel, ...]:
    return (
        number(
            "Replicas",
            "short",
            "Processes that answer Prometheus.",
            f"sum(up{{{WHERE}}})",
            limits=steps((1, GREEN), base=RED),
        ),
        number(
            "Targets that answer",
            "percentunit",
            "Share of the targets that accept the key, can be reached and answer plausibly.",
            f"avg({top('junction_monitor_target_up')})",
            limits=steps((1, GREEN), base=RED),
        ),
        number(
            "Database",
            "percentunit",
            "Share of the replicas whose database answers.",
            f"avg(junction_monitor_database_up{{{WHERE}}})",
            limits=steps((1, GREEN), base=RED),
        ),
        shared.coverage(),
        number(
            "Newest good snapshot",
            "s",
            "Its age, of the target that waits longest for one.",
            f"max(time() - {top('junction_monitor_last_success_timestamp_seconds')})",
            limits=steps((900, YELLOW), (2700, RED)),
        ),
        number(
            "Notices that wait",
            "short",
            "Alerts that no sink has taken yet.",
            f"sum(max by (sink) (junction_monitor_alerts_undelivered{{{WHERE}}}))",
            limits=steps((1, YELLOW), (100, RED)),
        ),
    )


def _polling() -> tuple[Panel, ...]:
    polls = rate("junction_monitor_polls_total", "outcome")
    return (
        lines(
            "Polls by outcome",
            "reqps",
            "Polls a second of all replicas. Unchanged is what most should be.",
            {"{{outcome}}": f"{polls} > 0"},
            stacked=True,
            colours=GOOD,
        ),
        lines(
            "Answers by code",
            "reqps",
            "Requests a second by HTTP status; timeout, connect and tls are those without one.",
            {"{{code}}": f"{rate('junction_monitor_requests_total', 'code')} > 0"},
            stacked=True,
        ),
        lines(
            "Duration of a request",
            "s",
            f"From start to last byte, over {RECENT}.",
            {
                "half": quantile(0.5, "junction_monitor_poll_duration_seconds", RECENT),
                "nine of ten": quantile(0.9, "junction_monitor_poll_duration_seconds", RECENT),
                "99 of 100": quantile(0.99, "junction_monitor_poll_duration_seconds", RECENT),
            },
        ),
        lines(
            "Lag",
            "s",
            f"Start of a poll minus its due time, over {RECENT}: it grows where something is slow.",
            {
                "half": quantile(0.5, "junction_monitor_poll_lag_seconds", RECENT),
                "99 of 100": quantile(0.99, "junction_monitor_poll_lag_seconds", RECENT),
            },
        ),
        lines(
            "Coverage by target",
            "percentunit",
            "Active users seen within two intervals, of all active ones.",
            {"{{target}}": f"sum by (target) ({FRESH}) / sum by (target) ({active()})"},
            width=8,
        ),
        lines(
            "Overdue users",
            "short",
            "Users due for more than one interval: something is too slow for them.",
            {"{{target}}": f"sum by (target) ({OVERDUE})"},
            width=8,
        ),
        lines(
            "Age of the oldest snapshot",
            "s",
            "For how long the active user seen longest ago was not seen.",
            {"{{target}}": f"max by (target) (time() - {top('junction_oldest_snapshot_timestamp_seconds')})"},
            width=8,
        ),
    )


def _unwatched() -> tuple[Panel, ...]:
    return (
        lines(
            "Unseen users by reason",
            "short",
            "Active users whose last two polls or more returned nothing, by the outcome of the last one.",
            {"{{target}}: {{reason}}": f"max by (target, reason) ({top('junction_monitor_unseen_users', 'reason')})"},
            width=8,
        ),
        lines(
            "Paused and gone users",
            "short",
            "Users that are not polled at the usual pace: paused by a person or invalid, and gone.",
            {
                "{{target}}: {{state}}": f"sum by (target, state) ({_unpolled()})",
            },
            width=8,
        ),
        lines(
            "Targets that are up",
            "short",
            "0 while a target rejects the key, cannot be reached, or answers implausibly.",
            {"{{target}}": f"min by (target) ({top('junction_monitor_target_up')})"},
            width=8,
        ),
    )


def _unpolled() -> str:
    return top("junction_users", "state", f'{SCOPE}, state=~"paused|gone"')


def _jobs() -> tuple[Panel, ...]:
    waiting = f"max(junction_monitor_undecided_transitions{{{WHERE}}})"
    oldest = f"max(junction_monitor_oldest_undecided_timestamp_seconds{{{WHERE}}})"
    return (
        lines(
            "Transitions not yet evaluated",
            "short",
            "What waits for a decision on alerts, those that were set aside included: back to 0 within seconds.",
            {"waiting": waiting},
            width=8,
        ),
        lines(
            "Age of the oldest of them",
            "s",
            "For how long the oldest transition has waited for evaluation; 0 where none waits.",
            {"oldest": f"time() - {oldest} and ({waiting} > 0) or vector(0)"},
            width=8,
        ),
        lines(
            "Crashed jobs",
            "short",
            "Unexpected exceptions by job in each step of the graph: each one is a bug report.",
            # Prometheus keeps the label job for what it scrapes.
            {"{{exported_job}}": _grown("junction_monitor_jobs_crashed_total", "exported_job", WHERE)},
            width=8,
            bars=True,
        ),
    )


def _budget() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests: made, needed, allowed",
            "reqps",
            "Needed: every active user in each interval. Where more is needed than allowed, everyone is polled later.",
            {
                "made": f"sum({rate('junction_monitor_requests_total', 'target')})",
                "needed": f"sum({NEEDED})",
                "allowed": f"sum({ALLOWED})",
            },
            colours={"made": BLUE, "needed": YELLOW, "allowed": RED},
        ),
        lines(
            "Share of the rate that holds",
            "percentunit",
            "1 unless Junction throttles; halved at each 429 or 503, and then rising again.",
            {"{{target}}": f"min by (target) (junction_monitor_throttle_factor{{{SCOPE}}})"},
        ),
        lines(
            "Errors: ours beside Junction's total",
            "short",
            "The vendor counts all users of the team, we those of the cohort: the distance should not change.",
            {
                "{{target}}: ours": f"sum by (target) ({errors()})",
                "{{target}}: Junction's": f"sum by (target) ({top('junction_reported_errored_connections')})",
            },
        ),
        lines(
            "Rows that could not be read",
            "short",
            "Malformed rows in answers, in each step of the graph: the vendor's format may have changed.",
            {"{{target}}": _grown("junction_monitor_malformed_rows_total", "target", SCOPE)},
            bars=True,
        ),
    )


def _database() -> tuple[Panel, ...]:
    commit = "junction_monitor_commit_duration_seconds"
    return (
        lines(
            "Duration of a commit",
            "s",
            f"One transaction with many polls, over {RECENT}.",
            {"half": quantile(0.5, commit, RECENT, WHERE), "99 of 100": quantile(0.99, commit, RECENT, WHERE)},
        ),
        lines(
            "Commits",
            "ops",
            "Transactions a second of all replicas: a few, whatever the load.",
            {"commits": f"sum(rate({commit}_count{{{WHERE}}}[$__rate_interval]))"},
        ),
        lines(
            "Deliveries",
            "short",
            "Notices by sink and outcome in each step of the graph; failed attempts are tried again.",
            {"{{sink}}: {{outcome}}": _grown("junction_monitor_alert_deliveries_total", "sink, outcome", WHERE)},
            bars=True,
        ),
        lines(
            "Notices that wait",
            "short",
            "By sink; what goes on rising is a sink that takes nothing.",
            {"{{sink}}": f"max by (sink) (junction_monitor_alerts_undelivered{{{WHERE}}})"},
        ),
    )


def _process() -> tuple[Panel, ...]:
    return (
        lines(
            "Memory",
            "bytes",
            "Resident memory of each replica. It does not grow with the cohort.",
            {"{{instance}}": f"process_resident_memory_bytes{{{WHERE}}}"},
            width=8,
        ),
        lines(
            "CPU",
            "percentunit",
            "Of one core, by replica. One process uses one core at most: then it takes another replica.",
            {"{{instance}}": f"rate(process_cpu_seconds_total{{{WHERE}}}[$__rate_interval])"},
            width=8,
        ),
        rows(
            "Builds",
            "short",
            "What runs: two versions beside each other are a roll-out, or one that got stuck.",
            f"count by (version, revision, python) (junction_monitor_build_info{{{WHERE}}})",
            ["version", "revision", "python"],
            width=8,
        ),
    )


def _grown(counter: str, labels: str, scope: str) -> str:
    return f"sum by ({labels}) (increase({counter}{{{scope}}}[$__rate_interval]))"

"""For everyone: how connections are, what is broken and why, and how soon it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Row

from deploy.generate.dashboards.parts import (
    ACTIVE,
    BLUE,
    CONNECTIONS,
    ERRORS,
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Incidents,
    Panel,
    bars,
    grown,
    lines,
    number,
    quantile,
    rows,
    scoped,
    started,
    steps,
    top,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

STATUS = {"connected": GREEN, "error": RED, "paused": GREY}

CHANGED = grown("junction_connection_transitions_total", "provider, kind, error_type")


def board() -> Dashboard:
    """Return the dashboard."""
    made = started("junction-overview", "Junction / Overview", "Health of the connections that users have made.")
    made = scoped(made).annotation(Incidents()).with_row(Row("Now"))
    for each in (*_now(), *_broken()):
        made = made.with_panel(each)
    made = made.with_row(Row("Over time"))
    for each in (*_health(), *_delays()):
        made = made.with_panel(each)
    return made


def _now() -> tuple[Panel, ...]:
    return (
        number(
            "Connections in error",
            "short",
            "Connections whose status is error now, at all providers.",
            f"sum({ERRORS})",
            limits=steps((1, YELLOW)),
        ),
        number(
            "Share in error",
            "percentunit",
            "Connections in error, of all connections.",
            f"sum({ERRORS}) / sum({CONNECTIONS})",
            limits=steps((0.05, YELLOW), (0.15, RED)),
        ),
        number(
            "Incidents",
            "short",
            "Waves of one error type at one provider that are open now.",
            f"sum({top('junction_incidents', 'provider, error_type')})",
            limits=steps((1, RED)),
        ),
        number(
            "Alerts firing",
            "short",
            "Alerts on connections that fire now, of any severity.",
            f"sum({top('junction_alerts', 'provider, severity')})",
            limits=steps((1, YELLOW)),
        ),
        number(
            "Users watched",
            "short",
            "Active users: polled in every interval.",
            f"sum({ACTIVE})",
            limits=steps(base=BLUE),
        ),
        number(
            "Coverage",
            "percentunit",
            "Active users whose latest good snapshot is at most two intervals old. What is not covered is not known.",
            f"sum({top('junction_users_fresh')}) / sum({ACTIVE})",
            limits=steps((0.95, YELLOW), (0.99, GREEN), base=RED),
        ),
    )


def _broken() -> tuple[Panel, ...]:
    return (
        bars(
            "In error, by provider",
            "percentunit",
            "Share of a provider's connections that are in error now.",
            f"sum by (provider) ({ERRORS}) / sum by (provider) ({CONNECTIONS})",
            "{{provider}}",
            limits=steps((0.05, YELLOW), (0.15, ORANGE), (0.3, RED)),
            most=1,
        ),
        rows(
            "Broken now, and why",
            "short",
            "Connections in error by provider and error type. The runbook of each error type says what to do.",
            f"sum by (target, provider, error_type) ({ERRORS}) > 0",
            ["target", "provider", "error_type"],
            width=9,
        ),
        rows(
            "Resources unavailable",
            "short",
            "Connections that no longer give one of their resources, such as sleep: a scope was taken away.",
            f"sum by (provider, resource) ({top('junction_resources_unavailable', 'provider, resource')}) > 0",
            ["provider", "resource"],
            width=7,
        ),
    )


def _health() -> tuple[Panel, ...]:
    return (
        lines(
            "Connections by status",
            "short",
            "All connections, by the vendor's word for how they are.",
            {"{{status}}": f"sum by (status) ({CONNECTIONS})"},
            stacked=True,
            colours=STATUS,
        ),
        lines(
            "Connections in error by provider",
            "short",
            "A step up at one provider is a wave; red marks are open incidents.",
            {"{{provider}}": f"sum by (provider) ({ERRORS}) > 0"},
            stacked=True,
        ),
        lines(
            "Transitions",
            "short",
            "What changed between two snapshots of a user, by kind, in each step of the graph.",
            {"{{kind}}": f"sum by (kind) ({CHANGED}) > 0"},
            bars=True,
        ),
        lines(
            "Alerts firing by severity",
            "short",
            "Alerts on single connections; members of an incident count as info.",
            {"{{severity}}": f"sum by (severity) ({top('junction_alerts', 'provider, severity')})"},
            stacked=True,
            colours={"critical": RED, "warning": ORANGE, "info": BLUE},
        ),
    )


def _delays() -> tuple[Panel, ...]:
    detection, recovery = "junction_connection_detection_delay_seconds", "junction_connection_recovery_seconds"
    return (
        lines(
            "Detection delay",
            "s",
            "From the moment that the vendor states for an error to the poll that saw it, over the last hour.",
            {"half": quantile(0.5, detection, "1h"), "nine of ten": quantile(0.9, detection, "1h")},
        ),
        lines(
            "Recovery time",
            "s",
            "From into error to connected again, of what recovered in the last 6 hours: provider, vendor and user.",
            {"half": quantile(0.5, recovery, "6h"), "nine of ten": quantile(0.9, recovery, "6h")},
        ),
    )

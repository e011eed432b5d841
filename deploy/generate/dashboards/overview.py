"""For everyone: how connections are, what is broken and why, and how soon it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.generate.dashboards import shared
from deploy.generate.dashboards.frame import Incidents, filled, scoped, started
from deploy.generate.dashboards.panels import BLUE, ORANGE, RED, YELLOW, Panel, bars, lines, number, steps
from deploy.generate.dashboards.queries import active, connections, errors, grown, quantile

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

CHANGED = grown("junction_connection_transitions_total", "provider, kind, error_type")


def board() -> Dashboard:
    """Return the dashboard."""
    made = started("junction-overview", "Junction / Overview", "Health of the connections that users have made.")
    return filled(scoped(made).annotation(Incidents()), {"Now": _now(), "Over time": _past()})


def _now() -> tuple[Panel, ...]:
    return (
        shared.in_error(),
        shared.share_in_error(),
        shared.incidents_open(),
        shared.alerts_firing(),
        number(
            "Users watched",
            "short",
            "Active users: polled in every interval.",
            f"sum({active()})",
            limits=steps(base=BLUE),
        ),
        shared.coverage(),
        bars(
            "In error, by provider",
            "percentunit",
            "Share of a provider's connections that are in error now.",
            f"sum by (provider) ({errors()}) / sum by (provider) ({connections()})",
            "{{provider}}",
            limits=steps((0.05, YELLOW), (0.15, ORANGE), (0.3, RED)),
        ),
        shared.broken_and_why(width=9),
        shared.resources_unavailable(width=7),
    )


def _past() -> tuple[Panel, ...]:
    detection, recovery = "junction_connection_detection_delay_seconds", "junction_connection_recovery_seconds"
    return (
        shared.by_status(),
        lines(
            "Connections in error by provider",
            "short",
            "A step up at one provider is a wave; red marks are open incidents.",
            {"{{provider}}": f"sum by (provider) ({errors()}) > 0"},
            stacked=True,
        ),
        lines(
            "Transitions",
            "short",
            "What changed between two snapshots of a user, by kind, in each step of the graph.",
            {"{{kind}}": f"sum by (kind) ({CHANGED}) > 0"},
            bars=True,
        ),
        shared.alerts_by_severity(),
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

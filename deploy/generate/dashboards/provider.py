"""To drill down: one provider, or a few beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Row

from deploy.generate.dashboards.parts import (
    BLUE,
    BY,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SCOPE,
    WHERE,
    YELLOW,
    Incidents,
    Panel,
    choice,
    grown,
    lines,
    number,
    rows,
    scoped,
    started,
    steps,
    top,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

AT = f'{SCOPE}, provider=~"$provider"'
ERRORS = top("junction_connection_errors", "provider, error_type", AT)
CONNECTIONS = top("junction_connections", "provider, status", AT)
HEALED = f'{AT}, kind="recovered"'
SHARE = f"sum by (provider) ({ERRORS}) / sum by (provider) ({CONNECTIONS})"


def board() -> Dashboard:
    """Return the dashboard."""
    made = started("junction-provider", "Junction / Provider", "One provider: its connections, errors and their past.")
    made = scoped(made).annotation(Incidents(AT))
    values = f"label_values(junction_connections{{{WHERE}}}, provider)"
    made = made.with_variable(choice("provider", "Provider", values)).with_row(Row("Now"))
    for each in _now():
        made = made.with_panel(each)
    made = made.with_row(Row("Over time"))
    for each in _past():
        made = made.with_panel(each)
    return made


def _now() -> tuple[Panel, ...]:
    return (
        number(
            "Connections",
            "short",
            "Connections of the chosen providers, whatever their status.",
            f"sum({CONNECTIONS})",
            limits=steps(base=BLUE),
        ),
        number(
            "In error",
            "short",
            "Those whose status is error now.",
            f"sum({ERRORS})",
            limits=steps((1, YELLOW)),
        ),
        number(
            "Share in error",
            "percentunit",
            "Connections in error, of all at the chosen providers.",
            f"sum({ERRORS}) / sum({CONNECTIONS})",
            limits=steps((0.05, YELLOW), (0.15, RED)),
        ),
        number(
            "Healed in a day",
            "short",
            "Connections that came from error back to connected in the last 24 hours.",
            f"sum(max by ({BY}, provider) (increase(junction_connection_transitions_total{{{HEALED}}}[1d])))",
            limits=steps(base=GREEN),
        ),
        number(
            "Incidents",
            "short",
            "Waves of one error type that are open now.",
            f"sum({top('junction_incidents', 'provider, error_type', AT)})",
            limits=steps((1, RED)),
        ),
        number(
            "Alerts firing",
            "short",
            "Alerts on connections of the chosen providers.",
            f"sum({top('junction_alerts', 'provider, severity', AT)})",
            limits=steps((1, YELLOW)),
        ),
        rows(
            "Errors now",
            "short",
            "Connections in error by error type; `monitor status --provider NAME` lists them one by one.",
            f"sum by (target, provider, error_type) ({ERRORS}) > 0",
            ["target", "provider", "error_type"],
        ),
        rows(
            "Resources unavailable",
            "short",
            "Connections that no longer give one of their resources.",
            f"sum by (provider, resource) ({top('junction_resources_unavailable', 'provider, resource', AT)}) > 0",
            ["provider", "resource"],
        ),
    )


def _past() -> tuple[Panel, ...]:
    return (
        lines(
            "Share in error",
            "percentunit",
            "The chosen providers beside each other. Far above its own past, a provider has its alert.",
            {"{{provider}}": SHARE},
        ),
        lines(
            "Errors by type",
            "short",
            "Connections in error, by what the vendor says is wrong.",
            {"{{error_type}}": f"sum by (error_type) ({ERRORS}) > 0"},
            stacked=True,
        ),
        lines(
            "Connections by status",
            "short",
            "All connections of the chosen providers.",
            {"{{status}}": f"sum by (status) ({CONNECTIONS})"},
            stacked=True,
            colours={"connected": GREEN, "error": RED, "paused": GREY},
        ),
        lines(
            "Into error and out of it",
            "short",
            "Transitions in each step of the graph: broken, healed, and gone while broken.",
            {
                "{{kind}}": f"sum by (kind) ({_of_kinds('errored|error_changed|recovered|reconnected')}) > 0",
            },
            bars=True,
            colours={"errored": RED, "error_changed": ORANGE, "recovered": GREEN, "reconnected": BLUE},
        ),
        lines(
            "Other transitions",
            "short",
            "Connections that came, went, paused, or lost or regained a resource.",
            {"{{kind}}": f"sum by (kind) ({_of_kinds('appeared|disappeared|status_changed|resource_.*|user_.*')}) > 0"},
            bars=True,
        ),
        lines(
            "Alerts firing by severity",
            "short",
            "Members of an incident count as info.",
            {"{{severity}}": f"sum by (severity) ({top('junction_alerts', 'provider, severity', AT)})"},
            stacked=True,
            colours={"critical": RED, "warning": ORANGE, "info": BLUE},
        ),
    )


def _of_kinds(kinds: str) -> str:
    return grown("junction_connection_transitions_total", "provider, kind", f'{AT}, kind=~"{kinds}"')

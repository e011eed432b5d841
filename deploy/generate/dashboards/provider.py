"""To drill down: one provider, or a few beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.generate.dashboards import shared
from deploy.generate.dashboards.frame import Incidents, choice, filled, scoped, started
from deploy.generate.dashboards.panels import BLUE, GREEN, ORANGE, RED, Panel, lines, number, steps
from deploy.generate.dashboards.queries import BY, SCOPE, WHERE, connections, errors, grown

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

AT = f'{SCOPE}, provider=~"$provider"'
HEALED = f'{AT}, kind="recovered"'


def board() -> Dashboard:
    """Return the dashboard."""
    made = started("junction-provider", "Junction / Provider", "One provider: its connections, errors and their past.")
    made = scoped(made).annotation(Incidents(AT))
    values = f"label_values(junction_connections{{{WHERE}}}, provider)"
    made = made.with_variable(choice("provider", "Provider", values))
    return filled(made, {"Now": _now(), "Over time": _past()})


def _now() -> tuple[Panel, ...]:
    return (
        number(
            "Connections",
            "short",
            "Connections of the chosen providers, whatever their status.",
            f"sum({connections(AT)})",
            limits=steps(base=BLUE),
        ),
        shared.in_error(AT),
        shared.share_in_error(AT),
        number(
            "Healed in a day",
            "short",
            "Connections that came from error back to connected in the last 24 hours.",
            f"round(sum(max by ({BY}, provider) (increase(junction_connection_transitions_total{{{HEALED}}}[1d]))))",
            limits=steps(base=GREEN),
        ),
        shared.incidents_open(AT),
        shared.alerts_firing(AT),
        shared.broken_and_why(AT, width=12),
        shared.resources_unavailable(AT, width=12),
    )


def _past() -> tuple[Panel, ...]:
    return (
        lines(
            "Share in error by provider",
            "percentunit",
            "The chosen providers beside each other. Far above its own past, a provider has its alert.",
            {"{{provider}}": f"sum by (provider) ({errors(AT)}) / sum by (provider) ({connections(AT)})"},
        ),
        lines(
            "Errors by type",
            "short",
            "Connections in error, by what the vendor says is wrong.",
            {"{{error_type}}": f"sum by (error_type) ({errors(AT)}) > 0"},
            stacked=True,
        ),
        shared.by_status(AT),
        lines(
            "Into error and out of it",
            "short",
            "Transitions in each step of the graph: broken, broken in another way, healed, linked anew.",
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
        shared.alerts_by_severity(AT),
    )


def _of_kinds(kinds: str) -> str:
    return grown("junction_connection_transitions_total", "provider, kind", f'{AT}, kind=~"{kinds}"')

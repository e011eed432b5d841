"""Panels that more than one dashboard shows, of all connections or of some."""

from __future__ import annotations

from deploy.generate.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Panel,
    lines,
    number,
    rows,
    steps,
)
from deploy.generate.dashboards.queries import SCOPE, active, connections, errors, top


def in_error(scope: str = SCOPE) -> Panel:
    """Return how many connections are in error."""
    said = "Connections whose status is error now."
    return number("Connections in error", "short", said, f"sum({errors(scope)})", limits=steps((1, YELLOW)))


def share_in_error(scope: str = SCOPE) -> Panel:
    """Return which share of the connections is in error."""
    said = "Connections in error, of all connections."
    share = f"sum({errors(scope)}) / sum({connections(scope)})"
    return number("Share in error", "percentunit", said, share, limits=steps((0.05, YELLOW), (0.15, RED)))


def incidents_open(scope: str = SCOPE) -> Panel:
    """Return how many incidents are open."""
    said = "Waves of one error type at one provider that are open now."
    found = top("junction_incidents", "provider, error_type", scope)
    return number("Incidents", "short", said, f"sum({found})", limits=steps((1, RED)))


def alerts_firing(scope: str = SCOPE) -> Panel:
    """Return how many alerts fire."""
    said = "Alerts on connections that fire now, of any severity."
    found = top("junction_alerts", "provider, severity", scope)
    return number("Alerts firing", "short", said, f"sum({found})", limits=steps((1, YELLOW)))


def coverage() -> Panel:
    """Return which share of the users is watched as often as promised."""
    said = "Active users whose latest good snapshot is at most two intervals old: of the others nothing is known."
    share = f"sum({top('junction_users_fresh')}) / sum({active()})"
    return number("Coverage", "percentunit", said, share, limits=steps((0.95, YELLOW), (0.99, GREEN), base=RED))


def broken_and_why(scope: str = SCOPE, *, width: int) -> Panel:
    """Return the connections in error by what is wrong with them."""
    said = "Connections in error by provider and error type. The runbook of each error type says what to do."
    found = f"sum by (target, provider, error_type) ({errors(scope)}) > 0"
    return rows("Broken now, and why", "short", said, found, ["target", "provider", "error_type"], width=width)


def resources_unavailable(scope: str = SCOPE, *, width: int) -> Panel:
    """Return the resources that connections no longer give."""
    said = "Connections that no longer give one of their resources, such as sleep: a scope was taken away."
    found = f"sum by (provider, resource) ({top('junction_resources_unavailable', 'provider, resource', scope)}) > 0"
    return rows("Resources unavailable", "short", said, found, ["provider", "resource"], width=width)


def by_status(scope: str = SCOPE) -> Panel:
    """Return the connections over time, by status."""
    return lines(
        "Connections by status",
        "short",
        "All connections, by the vendor's word for how they are.",
        {"{{status}}": f"sum by (status) ({connections(scope)})"},
        stacked=True,
        colours={"connected": GREEN, "error": RED, "paused": GREY},
    )


def alerts_by_severity(scope: str = SCOPE) -> Panel:
    """Return the alerts that fire over time, by severity."""
    return lines(
        "Alerts firing by severity",
        "short",
        "Alerts on single connections; members of an incident count as info.",
        {"{{severity}}": f"sum by (severity) ({top('junction_alerts', 'provider, severity', scope)})"},
        stacked=True,
        colours={"critical": RED, "warning": ORANGE, "info": BLUE},
    )

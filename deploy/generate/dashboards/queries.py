"""What the panels ask Prometheus: expressions over the monitor's series, right for several replicas."""

from __future__ import annotations

from typing import Final

JOB: Final = 'job="junction-monitor"'
WHERE: Final = f'{JOB}, namespace=~"$namespace"'
SCOPE: Final = f'{WHERE}, target=~"$target"'
"""Which series a panel reads. Outside Kubernetes there is no namespace, which `.*` matches as well."""
BY: Final = "namespace, job, target"


def top(metric: str, labels: str = "", scope: str = SCOPE) -> str:
    """Return a domain series once, however many replicas export it; ``labels`` are kept beside those of the target."""
    kept = ", ".join(each for each in (BY, labels) if each)
    return f"max by ({kept}) ({metric}{{{scope}}})"


def grown(counter: str, labels: str, scope: str = SCOPE) -> str:
    """Return by how much a domain counter grew in a step, once for all replicas."""
    return f"max by ({BY}, {labels}) (increase({counter}{{{scope}}}[$__rate_interval]))"


def rate(counter: str, labels: str, scope: str = SCOPE) -> str:
    """Return how fast a counter of the processes grows a second, all of them together."""
    return f"sum by ({labels}) (rate({counter}{{{scope}}}[$__rate_interval]))"


def quantile(q: float, histogram: str, window: str, scope: str = SCOPE) -> str:
    """Return a quantile of what all processes measured within a window."""
    return f"histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{{{scope}}}[{window}])))"


def errors(scope: str = SCOPE) -> str:
    """Return the connections in error by provider and error type."""
    return top("junction_connection_errors", "provider, error_type", scope)


def connections(scope: str = SCOPE) -> str:
    """Return the connections by provider and status."""
    return top("junction_connections", "provider, status", scope)


def active() -> str:
    """Return the users that are polled in every interval."""
    return top("junction_users", scope=f'{SCOPE}, state="active"')

"""What transitions carry of a connection: its status, the error it is in, and whether resources are available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.model import Connection

Face = tuple[str, str | None, "datetime | None"]


def faces(connections: Mapping[str, Connection]) -> dict[str, Face]:
    """Return status, error type and time of error by provider."""
    return {name: (each.status, each.error_type, each.errored_at) for name, each in connections.items()}


def availability(connections: Mapping[str, Connection]) -> dict[tuple[str, str], bool]:
    """Return whether each resource is available, by provider and resource."""
    return {
        (name, resource): word == AVAILABLE
        for name, each in connections.items()
        for resource, word in each.resources.items()
    }

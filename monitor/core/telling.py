"""How what was decided stands in what a sink is told: the user as the sink may know it, and the way to the runbook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.core.alerting import AlertKind
from monitor.core.wording import FIRED, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """``user_id`` returns a user id plain or hashed; without ``runbook_base_url`` there are no links."""

    user_id: Callable[[str], str]
    runbook_base_url: str | None

    def told(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a notice as its sink tells it."""
        told = {**payload, "runbook_url": None if FIRED in payload else self._runbook(payload)}
        told.pop(FIRED, None)
        if payload.get("user_id") is not None:
            told["user_id"] = self.user_id(payload["user_id"])
        return told

    def _runbook(self, payload: Mapping[str, Any]) -> str | None:
        return None if self.runbook_base_url is None else f"{self.runbook_base_url.rstrip('/')}/{page(payload)}.md"


def page(payload: Mapping[str, Any]) -> str:
    """Return the name of the runbook about what is told, the same for firing and resolved."""
    if "users" in payload:
        return "JunctionIncidentOpen"
    if (kind := payload.get("kind")) in {AlertKind.UNSTABLE, AlertKind.UNKNOWN_STATUS}:
        return str(kind)
    if payload.get("resource"):
        return AlertKind.RESOURCE_LOST.value
    if not payload.get("provider"):
        return AlertKind.USER_GONE.value
    error_type: str | None = payload.get("error_type")
    return error_type if error_type is not None and error_type in REMEDIES else "unknown"

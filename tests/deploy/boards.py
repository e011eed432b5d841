"""The dashboards as they are committed, and their queries as Grafana would ask them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GRAFANA: Final = Path(__file__).parents[2] / "deploy" / "grafana"
NAMES: Final = ("overview", "provider", "operations", "users")
ALL: Final = {"$namespace": ".*", "$target": ".*", "$provider": ".*", "$__rate_interval": "15s"}
"""What variables stand for at first, all of everything, and a step of fifteen seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: ``queries`` are PromQL or SQL by legend."""

    board: str
    kind: str
    title: str
    model: Mapping[str, Any]
    queries: Mapping[str, str]

    @property
    def unit(self) -> str:
        """In what the values are."""
        found: str = self.model["fieldConfig"]["defaults"]["unit"]
        return found


def board(name: str) -> dict[str, Any]:
    """Return a dashboard as it is committed."""
    found: dict[str, Any] = json.loads((GRAFANA / f"{name}.json").read_text(encoding="utf-8"))
    return found


def panels(name: str) -> Iterator[Panel]:
    """Yield the panels of a dashboard, from top left to bottom right."""
    for each in board(name)["panels"]:
        if each["type"] != "row":
            queries = {
                ask.get("legendFormat", ask["refId"]): ask.get("expr") or ask["rawSql"] for ask in each["targets"]
            }
            yield Panel(board=name, kind=each["type"], title=each["title"], model=each, queries=queries)


def asked(expr: str, variables: Mapping[str, str] = ALL) -> str:
    """Return an expression with the values of variables in their places."""
    for name, value in variables.items():
        expr = expr.replace(name, value)
    return expr


def every(*, sql: bool) -> list[Panel]:
    """Return the panels that ask PostgreSQL, or those that ask Prometheus."""
    return [each for name in NAMES for each in panels(name) if (name == "users") is sql]

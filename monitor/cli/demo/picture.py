"""The live view: what the monitor knows, drawn twice a second."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_ALERTS: Final = 8
STATUSES: Final = ("connected", "error", "paused")
STYLES: Final = {"connected": "green", "error": "red", "paused": "yellow", "firing": "red", "resolved": "green"}


@dataclass
class Figures:
    """The last scrape, and the alert lines so far."""

    metrics_url: str = ""
    connections: Counter[tuple[str, str]] = field(default_factory=Counter)
    transitions: Counter[str] = field(default_factory=Counter)
    users: int = 0
    polls: float = 0.0
    per_second: float = 0.0
    alerts: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN_ALERTS))

    async def scrape(self, http: httpx.AsyncClient, elapsed: float) -> None:
        """Read ``/metrics``; ``elapsed`` is the time in seconds since the last scrape."""
        try:
            text = (await http.get(self.metrics_url)).text
        except httpx.HTTPError:
            return  # the verdict at the end tells if it stays away
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        before, self.polls = self.polls, sum(s.value for s in samples if s.name == "junction_monitor_polls_total")
        self.per_second = max(0.0, self.polls - before) / max(elapsed, 0.001)
        self.users = int(sum(s.value for s in samples if s.name == "junction_users" and s.labels["state"] == "active"))
        self.connections = Counter()
        for each in samples:
            if each.name == "junction_connections":
                self.connections[each.labels["provider"], each.labels["status"]] += int(each.value)
        self.transitions = Counter()
        for each in samples:
            if each.name == "junction_connection_transitions_total":
                self.transitions[each.labels["kind"]] += int(each.value)


def draw(figures: Figures, elapsed: float, duration: float) -> RenderableType:
    """Return the picture of this moment."""
    head = Text.assemble(
        ("Junction connection monitor", "bold"),
        f"   {elapsed:3.0f} of {duration:.0f} s   {figures.users} users   {figures.per_second:.0f} polls/s   ",
        (figures.metrics_url, "cyan"),
    )
    return Group(head, Panel(_providers(figures), title="connections"), Panel(_alerts(figures), title="last alerts"))


def alert_line(alert: dict[str, Any]) -> str:
    """Return one alert in one line."""
    whose = alert["user_id"][:8] if "user_id" in alert else "incident"
    return f"{alert['state']:8} {alert['severity']:8} {whose}  {alert['summary']}"


def _providers(figures: Figures) -> RenderableType:
    table = Table(box=None, expand=True)
    table.add_column("provider")
    for status in STATUSES:
        table.add_column(status, justify="right", style=STYLES[status])
    totals: Counter[str] = Counter()
    for (provider, _), amount in figures.connections.items():
        totals[provider] += amount
    for provider, _ in totals.most_common(10):
        table.add_row(provider, *(str(figures.connections[provider, status]) for status in STATUSES))
    kinds = "  ".join(f"{kind} {amount}" for kind, amount in sorted(figures.transitions.items()))
    return Group(table, Text(f"transitions ever stored: {kinds or 'none yet'}", style="dim"))


def _alerts(figures: Figures) -> RenderableType:
    if not figures.alerts:
        return Text("none yet: what the first snapshots show is no alert", style="dim")
    return Group(*(Text(alert_line(each), style=STYLES[each["state"]], no_wrap=True) for each in figures.alerts))

"""A policy over stored history, beside the present one: what would have fired."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.core.alerting import AlertState
from monitor.ports import TransitionFilter
from monitor.store.memory.rehearsal import Rehearsal

if TYPE_CHECKING:
    from datetime import date, datetime

    from monitor.core.alerting import Decision
    from monitor.core.evaluation import Outcome
    from monitor.core.incidents import IncidentDecision
    from monitor.core.policy import Policy
    from monitor.ports import Views


@dataclass(slots=True, kw_only=True)
class Tried:
    """What a policy told people from ``since`` on: steps in order, and how many fired by day and loudness.

    ``days`` counts what fires; an incident counts once, under its loudness, and so do its quiet members under theirs.
    """

    since: datetime
    alerts: list[tuple[datetime, Decision]] = field(default_factory=list)
    incidents: list[tuple[datetime, IncidentDecision]] = field(default_factory=list)
    days: Counter[tuple[date, str]] = field(default_factory=Counter)

    def note(self, at: datetime, outcome: Outcome) -> None:
        """Keep what people would have heard."""
        if at < self.since:
            return
        for step in outcome.incidents:
            self.incidents.append((at, step))
            if step.was is None:
                self.days[at.date(), step.incident.severity.value] += 1
        for each in outcome.decisions:
            if each.told:
                self.alerts.append((at, each))
            if each.told and each.state is AlertState.FIRING:
                self.days[at.date(), each.alert.severity.value] += 1

    def fired(self, severity: str) -> int:
        """Return how many fired this loud."""
        return sum(amount for (_, word), amount in self.days.items() if word == severity)


async def rehearse(
    views: Views, policy: Policy, *, since: datetime, until: datetime, target: str | None = None
) -> Tried:
    """Run a policy over all stored transitions before ``until``; what was open at ``since`` is then known.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    tried = Tried(since=since)
    found = views.transitions(TransitionFilter(target=target, until=until))
    async for at, outcome in Rehearsal(policy).run(found, until):
        tried.note(at, outcome)
    return tried

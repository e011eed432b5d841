"""Where alerts are kept between two evaluations: a store in miniature, without a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.alerting import AlertState, Decision
from monitor.core.evaluation import Docket, Entry, Outcome, evaluate
from tests.core import soundness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import Alert, Slot
    from monitor.core.incidents import Incident, IncidentDecision, Wave, WaveKey
    from monitor.core.model import Transition, User
    from monitor.core.policy import Policy


@dataclass
class Desk:
    """Evaluates transitions as they come, and keeps what stands."""

    policy: Policy
    open: dict[UUID, Alert] = field(default_factory=dict)
    begun: dict[UUID, Transition] = field(default_factory=dict)
    history: defaultdict[tuple[User, str], list[Transition]] = field(default_factory=lambda: defaultdict(list))
    decisions: list[Decision] = field(default_factory=list)
    incidents: dict[UUID, Incident] = field(default_factory=dict)
    steps: list[IncidentDecision] = field(default_factory=list)
    counts: Counter[tally.Key] = field(default_factory=Counter)

    def meet(
        self,
        transitions: Iterable[Transition],
        now: datetime,
        *,
        removed: Iterable[User] = (),
        waves: Mapping[WaveKey, Wave] | None = None,
    ) -> list[Decision]:
        """Decide on transitions, and on removed users after them; return the steps of alerts."""
        found = [each for each in transitions if not each.baseline]
        entries = [Entry(number=0, user=each.user, transition=each) for each in found]
        entries += [Entry(number=0, user=each, transition=None) for each in removed]
        docket = Docket(
            entries=entries,
            standing=list(self.open.values()),
            history=self.history,
            begun=self.begun,
            waves=waves or {},
            incidents=list(self.incidents.values()),
        )
        outcome = evaluate(docket, self.policy, now)
        soundness.of_outcome(docket, outcome, self.policy, now)
        for each in found:
            self.begun[each.id] = each
            if each.provider and each.resource is None:
                self.history[each.user, each.provider].append(each)
        self._keep(outcome)
        return list(outcome.decisions)

    @property
    def told(self) -> list[Decision]:
        """What people heard of."""
        return [each for each in self.decisions if each.told]

    def slots(self) -> dict[Slot, Alert]:
        """Return the open alerts of the one user there is, by their place."""
        return {each.slot: each for each in self.open.values()}

    def _keep(self, outcome: Outcome) -> None:
        for each in outcome.decisions:
            self.open.pop(each.alert.id, None)
            if each.alert.is_open:
                self.open[each.alert.id] = each.alert
        for step in outcome.incidents:
            self.incidents.pop(step.incident.id, None)
            if step.incident.state is AlertState.FIRING:
                self.incidents[step.incident.id] = step.incident
        self.decisions.extend(outcome.decisions)
        self.steps.extend(outcome.incidents)
        self.counts.update(tally.of_decisions(outcome.decisions))
        self.counts.update(tally.of_incidents(outcome.incidents))

"""The decisions of one moment: from what is stored and not yet decided to everything that is to be committed.

1. Open incidents grow or end, by what is known of their members.
2. Each transition is followed, a user's in their order; alerts begin and end, and those that ended with the removal
   of a user begin again where the user was added again.
3. Pending alerts whose time has come are added to the waves; a wave that is large enough opens an incident.
4. They join an open incident, wait for others a little longer, or fire. Unstable alerts that were quiet end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from monitor.core import incidents
from monitor.core.alerting import GROUPED, AlertKind, AlertState, Decision, calm, fire, follow, wait, withdraw
from monitor.core.clock_steps import is_ahead, is_due
from monitor.core.incidents import Wave, WaveKey, breaks, key_of, lived, possible, suspicious
from monitor.core.membership import restore_alerts
from monitor.core.model import UNKNOWN_STATUS, UNSPECIFIED, is_unknown_status
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import Alert, Slot
    from monitor.core.incidents import Incident, IncidentDecision
    from monitor.core.membership import UserOrigin
    from monitor.core.model import Connection, Transition, User
    from monitor.core.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that no decision was taken on yet: a transition, or None where a person removed or added the user.

    ``is_added`` says that the user was added again, after an earlier removal. ``origin`` is given with what a
    first snapshot shows.
    """

    number: int
    user: User
    transition: Transition | None
    is_added: bool = False
    origin: UserOrigin | None = None

    @property
    def is_news(self) -> bool:
        """Whether a first snapshot shows an error that fires."""
        if self.transition is None or self.origin is None:
            return False
        return self.origin.makes_news(self.transition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docket:
    """What decisions are taken on now.

    Attributes:
        entries: new transitions, of each user in their order.
        standing: the open alerts of their users, and others whose time has come.
        history: earlier status transitions of the connections in ``entries``, oldest first.
        begun: the transitions that the alerts in ``standing`` began by.
        waves: what like errors there are, for the alerts in ``standing`` and for ``entries``.
        incidents: those that are open.
        removed: of users that were added again, the alerts that removals ended, oldest first.
        connections: of users that were added again, the connections as they are now.
    """

    entries: Sequence[Entry] = ()
    standing: Sequence[Alert] = ()
    history: Mapping[tuple[User, str], Sequence[Transition]] = field(default_factory=dict)
    begun: Mapping[UUID, Transition] = field(default_factory=dict)
    waves: Mapping[WaveKey, Wave] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    removed: Sequence[Alert] = ()
    connections: Mapping[User, Mapping[str, Connection]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that is to be committed: steps in their order."""

    decisions: tuple[Decision, ...]
    incidents: tuple[IncidentDecision, ...]


def evaluate(docket: Docket, policy: Policy, now: datetime) -> Outcome:
    """Return what is decided on ``docket`` at ``now``."""
    return _Evaluation(docket, policy, now).outcome()


def has_time_come(alert: Alert, policy: Policy, now: datetime) -> bool:
    """Return whether time alone may move an alert now, also where a clock that was set back wrote its times."""
    if alert.due_at is None:
        return False
    longest = policy.longest_unstable if alert.kind is AlertKind.UNSTABLE else policy.longest_pending
    return is_ahead(alert.began_at, now) or is_due(alert.due_at, now, longest)


def wave_keys(entries: Sequence[Entry], standing: Iterable[Alert]) -> Counter[WaveKey]:
    """Return which waves alerts and new transitions may be part of, and how many of each."""
    keys = Counter(key_of(each) for each in standing if each.kind in GROUPED)
    for each in entries:
        if each.transition and each.transition.provider:
            unknown = is_unknown_status(each.transition.status)
            error_type = UNKNOWN_STATUS if unknown else each.transition.error_type or UNSPECIFIED
            keys[WaveKey(each.user.target, each.transition.provider, error_type)] += 1
    return keys


class _Evaluation:
    """Working memory of one evaluation."""

    def __init__(self, docket: Docket, policy: Policy, now: datetime) -> None:
        self._docket = docket
        self._policy = policy
        self._now = now
        self._standing: dict[User, dict[Slot, Alert]] = {}
        for each in docket.standing:
            self._standing.setdefault(each.user, {})[each.slot] = each
        self._begun = dict(docket.begun)
        self._begun.update({each.transition.id: each.transition for each in docket.entries if each.transition})
        self._open = {each.key: each for each in docket.incidents}
        self._waves = dict(docket.waves)
        self._removed: dict[User, list[Alert]] = {}
        for each in docket.removed:
            self._removed.setdefault(each.user, []).append(each)
        self._added: dict[User, None] = {}
        self._decisions: list[Decision] = []
        self._incidents: list[IncidentDecision] = []

    def outcome(self) -> Outcome:
        for incident in self._docket.incidents:
            self._live(incident)
        for each in (*self._followed(), *self._restored()):
            self._take([each])
            self._forget(each.alert)
        due = self._due()
        self._gather(due)
        for alert in due:
            self._take(self._mature(alert))
        return Outcome(decisions=tuple(self._decisions), incidents=tuple(self._incidents))

    def _live(self, incident: Incident) -> None:
        step = lived(self._policy.incident, incident, self._now)
        if step is None:
            return
        self._incidents.append(step)
        if step.incident.state is AlertState.RESOLVED:
            del self._open[incident.key]

    def _followed(self) -> Iterator[Decision]:
        history = {key: list(each) for key, each in self._docket.history.items()}
        for entry in self._docket.entries:
            standing = self._standing.setdefault(entry.user, {})
            each = entry.transition
            if each is None:
                yield from self._follow_person(entry, standing)
                continue
            before = history.setdefault((entry.user, each.provider or ""), [])
            yield from follow(self._policy, standing, before, each, self._now, is_news=entry.is_news)
            if each.provider is not None and each.resource is None:
                before.append(each)

    def _follow_person(self, entry: Entry, standing: dict[Slot, Alert]) -> Iterator[Decision]:
        """End a removed user's alerts, and keep them in case that it is added again."""
        if entry.is_added:
            self._added[entry.user] = None
            return
        self._added.pop(entry.user, None)
        for each in withdraw(standing, self._now):
            if not each.alert.is_open:
                self._removed.setdefault(entry.user, []).append(each.alert)
            yield each

    def _restored(self) -> Iterator[Decision]:
        """Begin alerts again after all that was observed was followed: what changed meanwhile has its own alert."""
        for user in self._added:
            standing = self._standing.setdefault(user, {})
            ended, connections = self._removed.get(user, ()), self._docket.connections.get(user, {})
            yield from restore_alerts(self._policy, standing, ended, connections, self._now)

    def _forget(self, alert: Alert) -> None:
        """Take one who has just healed out of the wave."""
        wave = self._waves.get(key_of(alert))
        if wave is not None and alert.kind in GROUPED and not alert.is_open:
            self._waves[key_of(alert)] = replace(wave, users=wave.users - {alert.user.user_id})

    def _due(self) -> list[Alert]:
        found = [each for theirs in self._standing.values() for each in theirs.values()]
        ripe = [each for each in found if has_time_come(each, self._policy, self._now)]
        return sorted(ripe, key=lambda each: (each.confirmed_at, each.id))

    def _gather(self, due: Sequence[Alert]) -> None:
        """Count alerts into their waves, and open an incident where that makes one large enough."""
        rule = self._policy.incident
        grown: dict[WaveKey, Alert] = {}
        if rule is None:
            return
        for each in due:
            key = key_of(each)
            alone = each.kind in GROUPED and each.incident_id is None and key not in self._open
            if alone and self._now - each.confirmed_at <= rule.within:
                self._waves[key] = self._waves.get(key, Wave()).joined(each)
                grown.setdefault(key, each)
        for key, first in grown.items():
            wave = self._waves[key]
            if possible(rule, wave) and breaks(rule, wave):
                step = incidents.opened(key, wave, first.severity, first, self._open.keys(), self._now)
                self._open[key] = step.incident
                self._incidents.append(step)

    def _mature(self, alert: Alert) -> Iterator[Decision]:
        if alert.kind is AlertKind.UNSTABLE:
            return calm(self._policy, alert, self._now)
        if alert.kind not in GROUPED:
            return iter([fire(alert, self._now, _why(alert))])
        return iter([self._raise(alert)])

    def _raise(self, alert: Alert) -> Decision:
        incident = self._open.get(key_of(alert))
        if incident is not None or alert.incident_id is not None:
            joined = alert.incident_id if incident is None else incident.id
            quiet = replace(alert, severity=Severity.INFO, incident_id=joined)
            return fire(quiet, self._now, "it is a member of an incident")
        held = self._hold(alert)
        return held or fire(alert, self._now, _why(alert))

    def _hold(self, alert: Alert) -> Decision | None:
        """Let an alert wait for others where they would make an incident; never beyond the longest hold."""
        rule, wave = self._policy.incident, self._waves.get(key_of(alert), Wave())
        if rule is None or not possible(rule, wave):
            return None
        first = alert.confirmed_at + rule.hold
        if is_ahead(alert.confirmed_at, self._now):
            return None  # the clock was set back since: how long it has waited is not known
        if self._now < first:
            return wait(alert, first, self._now, "it waits for others like it")
        last = alert.confirmed_at + rule.longest_hold
        if self._now >= last or not suspicious(rule, wave):
            return None
        return wait(alert, min(last, self._now + rule.hold), self._now, "others like it come")

    def _take(self, decisions: Iterable[Decision]) -> None:
        """Keep decisions; a firing alert is told of by the transition that it began by."""
        for each in decisions:
            begun = each.state is AlertState.FIRING and each.told and each.transition is None
            self._decisions.append(replace(each, transition=self._begun.get(each.alert.began_by)) if begun else each)


def _why(alert: Alert) -> str:
    """Return why an alert fires by itself."""
    lasted = (alert.confirmed_at - alert.began_at).total_seconds()
    return f"it has lasted for {lasted:g} s" if lasted else "it is new"

"""The decisions on alerts: what they are taken on, and what is kept of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.alerting import GROUPED, REMOVED, AlertState
from monitor.core.clock_steps import is_due
from monitor.core.evaluation import Docket, Entry, has_time_come, wave_keys
from monitor.core.incidents import USUAL_OVER, Wave, WaveKey, key_of, past_windows, worth_comparing
from monitor.core.model import Intent
from monitor.core.policy import Severity
from monitor.core.policy_change import severity_counts
from monitor.core.tally import Count, Key
from monitor.core.wording import JOINED
from monitor.ports import EVERYTHING, AlertView, IncidentView, SetAside, Taken, WaitingKeys
from monitor.store import notices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import Alert, Decision
    from monitor.core.evaluation import Outcome
    from monitor.core.incidents import Incident
    from monitor.core.model import Connection, Transition, User
    from monitor.core.policy import IncidentRule, Policy
    from monitor.ports import EvaluationScope
    from monitor.ports.alerts import Registration
    from monitor.store.memory.tables import Tables, Undecided


class MemoryAlerts:
    """The decisions of one store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lease: int | None = None
        self._leased_until: datetime | None = None

    async def take(
        self,
        policy: Policy,
        *,
        limit: int,
        now: datetime,
        lease: timedelta,
        scope: EvaluationScope = EVERYTHING,
    ) -> Taken | None:
        """Take what is to be decided at ``now``, None where there is nothing or somebody has it in hand."""
        if self._leased_until is not None and not is_due(self._leased_until, now, lease):
            return None
        found, due, incidents = self._waiting(policy, limit, now, scope)
        if scope.is_everything and not (found or due or incidents):
            return None
        docket = self._docket(found, due, incidents, policy, now)
        self._lease, self._leased_until = self._tables.number(), now + lease
        taken = {each.user for each in docket.entries} | {each.user for each in docket.standing}
        return Taken(
            docket=docket,
            lease=self._lease,
            more=limit in {len(found), len(due)},
            members={each: self._registration(each) for each in taken},
        )

    async def waiting(self, policy: Policy, *, limit: int, now: datetime, scope: EvaluationScope) -> WaitingKeys:
        """Return the users and incidents that :meth:`take` would read."""
        found, due, incidents = self._waiting(policy, limit, now, scope)
        members = [entry.key for _, entry in found] + [self._tables.keys[each.user] for each in due]
        return WaitingKeys(
            members=list(dict.fromkeys(members)),
            incidents=[each.id for each in incidents],
            last_entry=found[-1][0] if found else 0,
        )

    async def set_aside(self, member: int, *, last_entry: int, reason: str, now: datetime) -> SetAside | None:
        """Leave a user's entries up to ``last_entry`` out of later evaluations and keep them; None: unknown user."""
        row, queue = self._tables.rows.get(member), self._tables.undecided
        if row is None:
            return None
        theirs = {
            number: replace(entry, set_aside=f"{now}: {reason}")
            for number, entry in queue.items()
            if entry.key == member and number <= last_entry and entry.set_aside is None
        }
        queue.update(theirs)
        return SetAside(user=row.user, entries=len(theirs))

    async def retry_set_aside(self) -> int:
        """Put entries that were set aside back into the queue and return how many; see the port."""
        queue, waiting = self._tables.undecided, self._tables.waiting()
        aside = {number: entry for number, entry in queue.items() if entry.set_aside is not None}
        superseded = [number for number, entry in aside.items() if self._is_superseded(number, entry, waiting)]
        for number, entry in aside.items():
            queue[number] = replace(entry, set_aside=None)
        for number in superseded:
            del queue[number]
        return len(aside) - len(superseded)

    def _is_superseded(self, number: int, entry: Undecided, waiting: Collection[UUID]) -> bool:
        """Whether what was evaluated later says all that an entry does; see the same condition on the SQL tables."""
        if entry.is_added:
            return False
        if entry.is_removal and self._is_back(number, entry.key):
            return True
        provider = entry.transition and entry.transition.provider
        return any(
            each.observed_at > entry.at and (each.provider is None or provider in {None, each.provider})
            for each in self._tables.histories.get(entry.key, ())
            if each.id not in waiting and not each.repeats_error and not (entry.is_removal and each.baseline)
        )

    def _is_back(self, number: int, key: int) -> bool:
        """Whether a removed user was added again, and that was evaluated."""
        if self._tables.rows[key].intent is Intent.REMOVED:
            return False
        return not any(
            later > number and each.key == key and each.is_added for later, each in self._tables.undecided.items()
        )

    def _waiting(
        self, policy: Policy, limit: int, now: datetime, scope: EvaluationScope
    ) -> tuple[list[tuple[int, Undecided]], list[Alert], list[Incident]]:
        tables = self._tables
        queue = (
            (number, entry)
            for number, entry in tables.undecided.items()
            if entry.set_aside is None
            and tables.is_decidable(entry, now)
            and (scope.last_entry is None or number <= scope.last_entry)
            and (scope.members is None or entry.key in scope.members)
        )
        due = [
            each
            for each in tables.open.values()
            if has_time_come(each, policy, now)
            and tables.keys[each.user] not in scope.skipped_members
            and (scope.members is None or tables.keys[each.user] in scope.members)
        ]
        incidents = [each for each in self._open_incidents() if _is_in_scope(each, scope)]
        return list(islice(queue, limit)), sorted(due, key=lambda each: (each.due_at, each.id))[:limit], incidents

    async def open_alert_keys(self, *, limit: int, after: int) -> WaitingKeys:
        """Return the next users with open alerts, and with the first page the open incidents."""
        keys = {self._tables.keys[each.user] for each in self._tables.open.values()}
        return WaitingKeys(
            members=sorted(key for key in keys if key > after)[:limit],
            incidents=[] if after else sorted(self._tables.open_incidents),
        )

    async def claim_open_alerts(
        self, policy: Policy, *, scope: EvaluationScope, now: datetime, lease: timedelta
    ) -> Taken | None:
        """Take the open alerts and incidents in ``scope``; see the port."""
        del policy  # the twin has all at hand
        if self._leased_until is not None and not is_due(self._leased_until, now, lease):
            return None
        keys = self._tables.keys
        standing = [each for each in self._tables.open.values() if keys[each.user] in (scope.members or ())]
        incidents = [each for each in self._open_incidents() if _is_in_scope(each, scope)]
        docket = Docket(standing=standing, begun=self._begun(standing), incidents=incidents)
        self._lease, self._leased_until = self._tables.number(), now + lease
        members = {each.user: self._registration(each.user) for each in standing}
        return Taken(docket=docket, lease=self._lease, more=False, members=members)

    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, *, sinks: Collection[str]) -> bool:
        """Keep everything that was decided; the lease ends."""
        if taken.lease != self._lease:
            return False
        decisions = [each for each in outcome.decisions if self._is_there(each.alert.user, taken)]
        # Built before anything is kept: what cannot be built must leave everything as it was.
        told = [notices.of_incident(step) for step in outcome.incidents if step.told]
        told += [notices.of_alert(self._tables.keys[each.alert.user], each) for each in decisions if each.told]
        moved = tally.of_decisions(decisions)
        moved.update(severity_counts(decisions))
        moved.update(tally.of_incidents(outcome.incidents))
        await self.release(taken)
        for entry in taken.docket.entries:
            self._tables.undecided.pop(entry.number, None)
        for each in decisions:
            self._keep(each)
        for step in outcome.incidents:
            self._tables.incidents[step.incident.id] = IncidentView(incident=step.incident, reason=step.reason)
            if step.was is None:
                moved.update(self._attach(step.incident, policy))
        self._tables.enqueue_decided(told, sinks)
        self._tables.counts.update({key: amount for key, amount in moved.items() if amount})
        return True

    async def release(self, taken: Taken) -> None:
        """Give back what was taken and could not be settled."""
        if taken.lease == self._lease:
            self._lease = self._leased_until = None

    def _registration(self, user: User) -> Registration:
        row = self._tables.rows[self._tables.keys[user]]
        return row.key, row.registered_at

    def _is_there(self, user: User, taken: Taken) -> bool:
        return user in self._tables.keys and self._registration(user) == taken.members[user]

    def _docket(
        self,
        found: Sequence[tuple[int, Undecided]],
        due: Sequence[Alert],
        incidents: Sequence[Incident],
        policy: Policy,
        now: datetime,
    ) -> Docket:
        users = {each.key: self._tables.rows[each.key].user for _, each in found}
        entries = [self._entry(number, each) for number, each in found]
        added = [each.key for _, each in found if each.is_added]
        removed = self._removed(added)
        theirs = frozenset(users.values())
        standing = {each.id: each for each in due}
        if theirs:
            standing |= {each.id: each for each in self._tables.open.values() if each.user in theirs}
        waiting = [each for each in standing.values() if each.state is AlertState.PENDING]
        return Docket(
            entries=entries,
            standing=list(standing.values()),
            history=self._history(users, entries, policy),
            begun=self._begun([*waiting, *removed]),
            waves=self._waves(entries, [*standing.values(), *removed], policy, now),
            incidents=incidents,
            removed=removed,
            connections={users[key]: self._connections(key) for key in added},
        )

    def _entry(self, number: int, each: Undecided) -> Entry:
        first = each.transition is not None and each.transition.baseline
        return Entry(
            number=number,
            user=self._tables.rows[each.key].user,
            transition=each.transition,
            is_added=each.is_added,
            origin=self._tables.origin(each.key) if first else None,
        )

    def _begun(self, alerts: Sequence[Alert]) -> Mapping[UUID, Transition]:
        known = self._tables.transitions
        return {each.began_by: known[each.began_by][1] for each in alerts if each.began_by in known}

    def _removed(self, keys: Sequence[int]) -> list[Alert]:
        """Return the last alerts of users' connections, where these ended because the user was removed."""
        ended = [each for each in self._tables.alerts.values() if each.key in keys and each.view.resolved_at]
        ended.sort(key=lambda each: (each.view.resolved_at, each.view.alert.id))
        latest = {(each.key, each.view.alert.slot): each.view for each in ended}
        return [each.alert for each in latest.values() if each.reason.startswith(REMOVED)]

    def _connections(self, key: int) -> Mapping[str, Connection]:
        return {provider: each.connection for provider, each in self._tables.rows[key].connections.items()}

    def _history(
        self, users: Mapping[int, User], entries: Sequence[Entry], policy: Policy
    ) -> Mapping[tuple[User, str], Sequence[Transition]]:
        times = [each.transition.observed_at for each in entries if each.transition]
        if policy.flapping is None or not times:
            return {}
        since, waiting = min(times) - policy.flapping.within, self._tables.waiting()
        history: defaultdict[tuple[User, str], list[Transition]] = defaultdict(list)
        for key, user in users.items():
            for each in self._tables.histories.get(key, ()):
                if each.provider and each.resource is None and each.observed_at >= since and each.id not in waiting:
                    history[user, each.provider].append(each)
        return history

    def _waves(
        self, entries: Sequence[Entry], standing: Iterable[Alert], policy: Policy, now: datetime
    ) -> Mapping[WaveKey, Wave]:
        rule = policy.incident
        keys = wave_keys(entries, standing)
        if rule is None or not keys:
            return {}
        connections: Counter[tuple[str, str]] = Counter()
        for key, amount in self._tables.counts.items():
            if key.count is Count.CONNECTIONS:
                connections[key.target, key.a] += amount
        waves = {key: Wave(connections=connections[key.target, key.provider]) for key in keys}
        for each in self._tables.open.values():
            if _is_alone(each) and now - rule.within < each.confirmed_at <= now and key_of(each) in waves:
                waves[key_of(each)] = waves[key_of(each)].joined(each)
        if not any(worth_comparing(rule, len(each.users) + keys[key]) for key, each in waves.items()):
            return waves
        usual, windows = self._usual(rule, now), past_windows(rule)
        return {key: replace(each, usual=usual[key] / windows) for key, each in waves.items()}

    def _usual(self, rule: IncidentRule, now: datetime) -> Counter[WaveKey]:
        usual: Counter[WaveKey] = Counter()
        for alert in (filed.view.alert for filed in self._tables.alerts.values()):
            past = now - USUAL_OVER < alert.confirmed_at <= now - rule.within
            if past and _is_alone(alert) and alert.state is not AlertState.WITHDRAWN:
                usual[key_of(alert)] += 1
        return usual

    def _open_incidents(self) -> list[Incident]:
        views = self._tables.incidents.values()
        return [self._tables.counted(each.incident) for each in views if each.incident.state is AlertState.FIRING]

    def _keep(self, each: Decision) -> None:
        before = self._tables.alerts.get(each.alert.id)
        is_first = each.told and each.alert.is_open and not each.is_renewed
        fired = each.reason if is_first else before and before.view.fired_reason
        view = AlertView(
            alert=each.alert,
            fired_reason=fired or None,
            reason=each.reason,
            resolved_at=None if each.alert.is_open else each.decided_at,
        )
        self._tables.file(self._tables.keys[each.alert.user], view)

    def _attach(self, incident: Incident, policy: Policy) -> Counter[Key]:
        """Make members of the alerts that came before the incident, and return how that moves the counts."""
        moved: Counter[Key] = Counter()
        within = policy.incident.within if policy.incident else timedelta()
        since = incident.opened_at - within
        for each in list(self._tables.open.values()):
            if (
                not _is_alone(each)
                or key_of(each) != incident.key
                or not since < each.confirmed_at <= incident.opened_at
            ):
                continue
            if each.state is AlertState.FIRING:
                target, provider = incident.key.target, incident.key.provider
                moved[Key(target, Count.ALERTS, provider, each.severity)] -= 1
                moved[Key(target, Count.ALERTS, provider, Severity.INFO)] += 1
            due = incident.opened_at if each.state is AlertState.PENDING else each.due_at
            joined = replace(each, incident_id=incident.id, severity=Severity.INFO, due_at=due)
            filed = self._tables.alerts[each.id]
            self._tables.file(filed.key, replace(filed.view, alert=joined, reason=JOINED))
        return moved


def _is_in_scope(incident: Incident, scope: EvaluationScope) -> bool:
    is_skipped = incident.id in scope.skipped_incidents
    return not is_skipped and (scope.incidents is None or incident.id in scope.incidents)


def _is_alone(alert: Alert) -> bool:
    return alert.kind in GROUPED and alert.incident_id is None

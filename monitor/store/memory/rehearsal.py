"""A policy tried on transitions that were: the daemon's own decisions, on a clock that runs from one event to the next.

What is decided comes of :func:`monitor.core.evaluation.evaluate`, on the twin's dockets, so a rehearsal tells what
would have been. Time moves by the second, as often as the daemon decides.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor.core.alerting import AlertState
from monitor.core.cadence import EPOCH
from monitor.core.evaluation import evaluate
from monitor.core.model import Kind
from monitor.core.tally import Count, Key
from monitor.store.memory.alerts import MemoryAlerts
from monitor.store.memory.tables import Row, Tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from monitor.core.evaluation import Outcome
    from monitor.core.incidents import Incident
    from monitor.core.model import Transition, User
    from monitor.core.policy import Policy

AT_ONCE: Final = 500
TICK: Final = timedelta(seconds=1)


class Rehearsal:
    """One policy and all that it has decided so far; kept in memory, by connection."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tables = Tables()
        self._alerts = MemoryAlerts(self._tables)
        self._connected: dict[User, set[str]] = {}
        self._now = EPOCH

    async def run(
        self, transitions: AsyncIterator[Transition], until: datetime
    ) -> AsyncIterator[tuple[datetime, Outcome]]:
        """Yield what is decided and when, from the first of ``transitions`` (oldest first) to ``until``."""
        async for each in transitions:
            if each.observed_at > self._now:
                async for decided in self._pass(each.observed_at):
                    yield decided
                self._now = _second_after(each.observed_at)
            self._take_in(each)
        async for decided in self._pass(until):
            yield decided

    async def _pass(self, until: datetime) -> AsyncIterator[tuple[datetime, Outcome]]:
        """Decide whenever something is due before ``until``."""
        while (at := self._next()) is not None and at < until:
            self._now = at
            more = True
            while more and (taken := await self._alerts.take(self._policy, limit=AT_ONCE, now=at, lease=TICK)):
                outcome = evaluate(taken.docket, self._policy, at)
                await self._alerts.settle(taken, outcome, self._policy, sinks=())
                more = taken.more
                yield at, outcome

    def _next(self) -> datetime | None:
        if self._tables.undecided:
            return self._now
        dues = [each.due_at for each in self._tables.open.values() if each.due_at is not None]
        dues += [
            self._moves(each.incident)
            for each in self._tables.incidents.values()
            if each.incident.state is AlertState.FIRING
        ]
        return max(min(dues), self._now + TICK) if dues else None

    def _moves(self, incident: Incident) -> datetime:
        """Return when an open incident may next be told of."""
        found = self._tables.counted(incident)
        if self._policy.incident is None or not found.broken or found.users >= 2 * found.told_users:
            return self._now
        return found.joined_at + self._policy.incident.within

    def _take_in(self, each: Transition) -> None:
        key = self._tables.keys.get(each.user)
        if key is None:
            key = self._tables.number()
            self._tables.put(
                [Row(key=key, user=each.user, client_user_id=None, registered_at=self._now, next_poll_at=self._now)]
            )
        self._tables.record(key, each)
        self._count(each)

    def _count(self, each: Transition) -> None:
        """Keep how many connections there are at each provider."""
        connected = self._connected.setdefault(each.user, set())
        before = set(connected)
        if each.kind is Kind.USER_GONE:
            connected.clear()
        elif each.provider and each.resource is None:
            (connected.discard if each.status is None else connected.add)(each.provider)
        for provider in before ^ connected:
            amount = 1 if provider in connected else -1
            self._tables.counts[Key(each.target, Count.CONNECTIONS, provider)] += amount


def _second_after(moment: datetime) -> datetime:
    return moment if not moment.microsecond else moment.replace(microsecond=0) + TICK

"""Questions that change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.core.model import Intent, User
from monitor.core.tally import user_state
from monitor.ports import ConnectionView, EvaluationBacklog, Freshness
from monitor.store.memory.batch import closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.model import Transition
    from monitor.core.tally import Key
    from monitor.core.target_health import TargetHealth
    from monitor.ports import AlertFilter, AlertView, IncidentView, PastSnapshot, TransitionFilter
    from monitor.store.memory.tables import Row, Tables


class MemoryViews:
    """The questions that one store answers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def counts(self) -> Mapping[Key, int]:
        """Return all counts, zeros included."""
        return dict(self._tables.counts)

    async def freshness(self, target: str, *, interval: timedelta, now: datetime) -> Freshness:
        """Return how current the watch over ``target`` is."""
        rows = self._tables.of_target(target)
        active = [each for each in rows if user_state(each.intent, each.presence) == "active"]
        seen = [each.observed_at for each in active if each.observed_at is not None]
        return Freshness(
            fresh=sum(1 for each in seen if each >= now - 2 * interval),
            overdue=sum(1 for each in rows if each.pollable and each.next_poll_at < now - interval),
            oldest=min(seen, default=None),
            latest=max(seen, default=None),
        )

    async def health(self) -> Mapping[str, TargetHealth]:
        """Return what is known of each target as a whole."""
        return {name: budget.health for name, budget in self._tables.budgets.items()}

    async def evaluation_backlog(self) -> EvaluationBacklog:
        """Return how much waits to be evaluated, and since when."""
        times = [each.at for each in self._tables.undecided.values() if self._tables.is_observed(each)]
        return EvaluationBacklog(entries=len(times), oldest=min(times, default=None))

    async def reported(self, *, since: datetime) -> Mapping[str, int]:
        """Return the vendor's own total of errored connections, by target, where it was had since then."""
        return {
            target: errored
            for target, (errored, at) in self._tables.reported.items()
            if errored is not None and at >= since
        }

    async def connections(
        self,
        *,
        target: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        user_id: UUID | None = None,
    ) -> AsyncIterator[ConnectionView]:
        """Yield current connections of users that are not removed, by target, as users were registered, by provider."""
        for row in sorted(self._tables.rows.values(), key=lambda each: (each.user.target, each.key)):
            wanted = target in (None, row.user.target) and user_id in (None, row.user.user_id)
            if row.intent is Intent.REMOVED or not wanted:
                continue
            for each in _connections(row):
                if provider in (None, each.connection.provider) and status in (None, each.connection.status):
                    yield each

    async def transitions(self, wanted: TransitionFilter) -> AsyncIterator[Transition]:
        """Yield transitions, oldest observation first; of one user and time in the order of the diff."""
        found = [each for _, each in self._tables.transitions.values() if _is_wanted(each, wanted)]
        for each in sorted(found, key=lambda transition: transition.observed_at):
            yield each

    async def alerts(self, wanted: AlertFilter) -> AsyncIterator[AlertView]:
        """Yield alerts in the order in which they were confirmed."""
        found = [each.view for each in self._tables.alerts.values() if _is_chosen(each.view, wanted)]
        for each in sorted(found, key=lambda view: (view.alert.confirmed_at, view.alert.id)):
            yield each

    async def incidents(
        self, *, target: str | None = None, provider: str | None = None, since: datetime | None = None
    ) -> Sequence[IncidentView]:
        """Return open incidents, and those that resolved at or after ``since`` where it is given, oldest first."""
        found = [
            replace(each, incident=self._tables.counted(each.incident))
            for each in self._tables.incidents.values()
            if target in (None, each.incident.key.target) and provider in (None, each.incident.key.provider)
        ]
        wanted = [each for each in found if _is_of(each.incident.resolved_at, since)]
        return sorted(wanted, key=lambda each: (each.incident.opened_at, each.incident.id))

    async def snapshot_at(self, target: str, user_id: UUID, at: datetime) -> PastSnapshot | None:
        """Return the snapshot as it stood at ``at``, None before the first."""
        key = self._tables.keys.get(User(target=target, user_id=user_id))
        if key is None:
            return None
        past = [each for each in closed(self._tables.rows[key]) if each.first_observed_at <= at]
        return max(past, key=lambda each: each.first_observed_at, default=None)

    async def ping(self) -> None:
        """Return: it always answers."""


def _connections(row: Row) -> Iterator[ConnectionView]:
    for _, held in sorted(row.connections.items()):
        yield ConnectionView(
            target=row.user.target,
            user_id=row.user.user_id,
            connection=held.connection,
            since=held.since,
            first_seen_at=held.first_seen_at,
            observed_at=row.observed_at,
        )


def _is_wanted(each: Transition, wanted: TransitionFilter) -> bool:
    return (
        wanted.target in (None, each.target)
        and wanted.user_id in (None, each.user_id)
        and wanted.provider in (None, each.provider)
        and wanted.kind in (None, each.kind)
        and (wanted.since is None or each.observed_at >= wanted.since)
        and (wanted.until is None or each.observed_at < wanted.until)
    )


def _is_chosen(view: AlertView, wanted: AlertFilter) -> bool:
    alert = view.alert
    return (
        wanted.target in (None, alert.user.target)
        and wanted.user_id in (None, alert.user.user_id)
        and wanted.provider in (None, alert.provider)
        and wanted.severity in (None, alert.severity)
        and (alert.is_open or not wanted.only_open)
        and (wanted.since is None or _is_of(view.resolved_at, wanted.since))
    )


def _is_of(resolved_at: datetime | None, since: datetime | None) -> bool:
    return resolved_at is None or (since is not None and resolved_at >= since)

"""What alert decisions are taken on, read from SQL in a handful of statements however many users are in it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, and_, case, cast, exists, func, or_, select, text

from monitor.core.alerting import OPEN, REMOVED, AlertState
from monitor.core.evaluation import Docket, Entry, wave_keys
from monitor.core.incidents import USUAL_OVER, Wave, WaveKey, past_windows, worth_comparing
from monitor.core.membership import UserOrigin
from monitor.core.model import UNSPECIFIED, Transition, User
from monitor.core.tally import Count
from monitor.ports import Taken
from monitor.store import evaluation_queue, rows
from monitor.store.tables import (
    ADDED,
    RAISED,
    alerts,
    connections,
    counts,
    incidents,
    targets,
    transitions,
    undecided,
    users,
)
from monitor.store.tables import OPEN as OPEN_ALERTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.alerting import Alert
    from monitor.core.incidents import Incident
    from monitor.core.model import Connection
    from monitor.core.policy import IncidentRule, Policy
    from monitor.ports import EvaluationScope

OPEN_STATES: Final = [each.value for each in OPEN]


async def read(
    connection: AsyncConnection, policy: Policy, lease: int, *, limit: int, now: datetime, scope: EvaluationScope
) -> Taken:
    """Return what is to be decided at ``now``, under a lease."""
    return await _Reader(connection, policy, now, scope).taken(lease, limit)


async def read_open_alerts(
    connection: AsyncConnection, policy: Policy, lease: int, *, now: datetime, scope: EvaluationScope
) -> Taken:
    """Return the open alerts of the users in ``scope`` and its open incidents, under a lease."""
    return await _Reader(connection, policy, now, scope).open_alerts(lease)


async def counted(connection: AsyncConnection, row: Any) -> Incident:
    """Return an incident with the figures of its members as they are now."""
    figures = (await connection.execute(_FIGURES.where(alerts.c.incident_id == row.id))).one()
    ours = and_(counts.c.target_id == row.target_id, counts.c.a == row.provider)
    connections = (await connection.execute(_CONNECTIONS.where(ours))).first()
    return rows.incident(row, figures, connections.connections if connections else 0)


class _Reader:
    """Reads one docket."""

    def __init__(self, connection: AsyncConnection, policy: Policy, now: datetime, scope: EvaluationScope) -> None:
        self._connection = connection
        self._policy = policy
        self._now = now
        self._scope = scope

    async def taken(self, lease: int, limit: int) -> Taken:
        due = await self._due_alerts(limit)
        queued = evaluation_queue.of_scope(_ENTRIES, self._scope, self._now, self._connection.dialect)
        found = await self._rows(queued.order_by(undecided.c.id).limit(limit))
        return Taken(
            docket=await self._docket(found, due),
            lease=lease,
            more=limit in {len(found), len(due)},
            members={_user(each): (each.member, each.registered_at) for each in (*found, *due)},
        )

    async def open_alerts(self, lease: int) -> Taken:
        theirs = rows.among(alerts.c.member, self._scope.members or (), self._connection.dialect)
        found = await self._rows(ALERTS.where(text(OPEN_ALERTS), theirs).order_by(alerts.c.member, alerts.c.id))
        standing = [rows.alert(each) for each in found]
        return Taken(
            docket=Docket(
                standing=standing,
                begun=await self._begun([each.began_by for each in standing]),
                incidents=await self._incidents(),
            ),
            lease=lease,
            more=False,
            members={_user(each): (each.member, each.registered_at) for each in found},
        )

    async def _due_alerts(self, limit: int) -> list[Any]:
        scope, found = self._scope, list[Any]()
        query = ALERTS.where(evaluation_queue.is_not_skipped(alerts.c.member, scope.skipped_members))
        if scope.members is not None:
            query = query.where(rows.among(alerts.c.member, scope.members, self._connection.dialect))
        for which in evaluation_queue.is_due_alert(
            self._policy, self._now
        ):  # one after the other, since an index serves each of them alone
            part = query.where(which).order_by(alerts.c.due_at, alerts.c.id).limit(limit - len(found))
            found += await self._rows(part)
        return found

    async def _docket(self, found: Sequence[Any], due: Sequence[Any]) -> Docket:
        entries = [_entry(each) for each in found]
        standing = await self._standing([each.member for each in found], due)
        added = sorted({each.member for each in found if each.kind_of_entry == ADDED})
        removed = await self._removed(added) if added else []
        waiting = [each.began_by for each in standing if each.state is AlertState.PENDING]
        waiting += [each.began_by for each in removed]
        return Docket(
            entries=entries,
            standing=standing,
            history=await self._history(found, entries),
            begun=await self._begun(waiting),
            waves=await self._waves(entries, [*standing, *removed]),
            incidents=await self._incidents(),
            removed=removed,
            connections=await self._connections(added) if added else {},
        )

    async def _removed(self, members: Sequence[int]) -> list[Alert]:
        """Return the last alerts of users' connections, where these ended because the user was removed."""
        theirs = rows.among(alerts.c.member, members, self._connection.dialect)
        ended = ALERTS.where(theirs, alerts.c.resolved_at.is_not(None))
        found = await self._rows(ended.order_by(alerts.c.resolved_at, alerts.c.id))
        latest = {(each.member, each.provider, each.resource): each for each in found}
        return [rows.alert(each) for each in latest.values() if each.reason.startswith(REMOVED)]

    async def _connections(self, members: Sequence[int]) -> Mapping[User, Mapping[str, Connection]]:
        theirs = rows.among(connections.c.member, members, self._connection.dialect)
        found: defaultdict[User, dict[str, Connection]] = defaultdict(dict)
        for row in await self._rows(_CURRENT.where(theirs)):
            found[_user(row)][row.provider] = rows.connection(row)
        return found

    async def _standing(self, members: Sequence[int], due: Sequence[Any]) -> list[Alert]:
        theirs = rows.among(alerts.c.member, sorted(set(members)), self._connection.dialect)
        found = await self._rows(ALERTS.where(theirs, alerts.c.state.in_(OPEN_STATES))) if members else []
        by_id = {each.id: each for each in (*due, *found)}
        return [rows.alert(each) for each in by_id.values()]

    async def _history(
        self, found: Sequence[Any], entries: Sequence[Entry]
    ) -> Mapping[tuple[User, str], Sequence[Transition]]:
        """Return earlier status transitions of the connections in ``entries``, as far back as flapping reaches."""
        times = [each.transition.observed_at for each in entries if each.transition]
        if self._policy.flapping is None or not times:
            return {}
        asked = _TRANSITIONS.where(
            rows.among(transitions.c.member, sorted({each.member for each in found}), self._connection.dialect),
            transitions.c.observed_at >= min(times) - self._policy.flapping.within,
            transitions.c.provider.is_not(None),
            transitions.c.resource.is_(None),
            ~_WAITS,
        )
        history: defaultdict[tuple[User, str], list[Transition]] = defaultdict(list)
        for row in await self._rows(asked.order_by(transitions.c.observed_at, transitions.c.ordinal)):
            each = rows.transition(row)
            history[each.user, each.provider or ""].append(each)
        return history

    async def _begun(self, ids: Sequence[UUID]) -> Mapping[UUID, Transition]:
        if not ids:
            return {}
        asked = _TRANSITIONS.where(rows.among(transitions.c.id, ids, self._connection.dialect))
        return {row.id: rows.transition(row) for row in await self._rows(asked)}

    async def _waves(self, entries: Sequence[Entry], standing: Sequence[Alert]) -> Mapping[WaveKey, Wave]:
        rule = self._policy.incident
        keys = wave_keys(entries, standing)
        if rule is None or not keys:
            return {}
        connections = {(row.target, row.a): row.connections for row in await self._rows(_CONNECTIONS)}
        members: defaultdict[WaveKey, list[Any]] = defaultdict(list)
        for row in await self._rows(_MEMBERS.where(*_confirmed(self._now - rule.within, self._now))):
            members[WaveKey(row.target, row.provider, row.error_type)].append(row)
        many = any(worth_comparing(rule, len(members[each]) + keys[each]) for each in keys)
        usual = await self._usual(rule) if many else {}
        return {
            key: Wave(
                users=frozenset(row.user_id for row in members[key]),
                since=min((row.began_at for row in members[key]), default=None),
                connections=connections.get((key.target, key.provider), 0),
                usual=usual.get(key, 0.0),
            )
            for key in keys
        }

    async def _usual(self, rule: IncidentRule) -> Mapping[WaveKey, float]:
        """Return how many alerts there were in an average window of the last days before this one.

        Asked only where a wave may become of what there is, since it reads all of these days.
        """
        since = self._now - USUAL_OVER
        windows = past_windows(rule)
        found = await self._rows(_ALERTED.where(*_confirmed(since, self._now - rule.within)))
        return {WaveKey(row.target, row.provider, row.error_type): row.alerts / windows for row in found}

    async def _incidents(self) -> list[Incident]:
        query = INCIDENTS.where(evaluation_queue.is_open_incident(self._scope))
        if self._scope.incidents is not None:
            query = query.where(rows.among(incidents.c.id, self._scope.incidents, self._connection.dialect))
        found = await self._rows(query)
        return [await counted(self._connection, row) for row in found]

    async def _rows(self, statement: Any) -> Sequence[Any]:
        return (await self._connection.execute(statement)).all()


def _user(row: Any) -> User:
    return User(target=row.target, user_id=row.user_id)


def _entry(row: Any) -> Entry:
    origin = None
    if row.baseline:
        origin = UserOrigin(
            registered_at=row.registered_at, created_on=row.user_created_on, discovered_at=row.discovered_at
        )
    return Entry(
        number=row.number,
        user=_user(row),
        transition=None if row.id is None else rows.transition(row),
        is_added=row.kind_of_entry == ADDED,
        origin=origin,
    )


def _confirmed(after: datetime, until: datetime) -> tuple[Any, ...]:
    return alerts.c.confirmed_at > after, alerts.c.confirmed_at <= until


_OF_USER: Final = (users.c.user_id, users.c.registered_at, targets.c.name.label("target"))
_ERROR_TYPE: Final = func.coalesce(alerts.c.error_type, UNSPECIFIED).label("error_type")
_WITH_USER: Final = alerts.join(users).join(targets, users.c.target_id == targets.c.id)
ALERTS: Final = select(alerts, *_OF_USER).select_from(_WITH_USER)
_TRANSITIONS: Final = select(transitions, *_OF_USER).select_from(transitions.join(users).join(targets))
_ENTRIES: Final = select(
    undecided.c.id.label("number"),
    undecided.c.member,
    undecided.c.kind.label("kind_of_entry"),
    users.c.created_on.label("user_created_on"),
    targets.c.discovered_at,
    transitions,
    *_OF_USER,
).select_from(undecided.join(users).join(targets).outerjoin(transitions, transitions.c.id == undecided.c.transition_id))
_CURRENT: Final = select(connections, *_OF_USER).select_from(connections.join(users).join(targets))
_WAITS: Final = exists().where(
    undecided.c.member == transitions.c.member, undecided.c.transition_id == transitions.c.id
)
"""It is for this docket, or for a later one."""
_MEMBERS: Final = (
    select(users.c.user_id, targets.c.name.label("target"), alerts.c.provider, _ERROR_TYPE, alerts.c.began_at)
    .select_from(_WITH_USER)
    .where(RAISED, alerts.c.state.in_(OPEN_STATES))
)
_ALERTED: Final = (
    select(targets.c.name.label("target"), alerts.c.provider, _ERROR_TYPE, func.count().label("alerts"))
    .select_from(alerts.join(targets))
    .where(RAISED)
    .group_by(targets.c.name, alerts.c.provider, _ERROR_TYPE)
)
_CONNECTIONS: Final = (
    select(targets.c.name.label("target"), counts.c.a, cast(func.sum(counts.c.value), BigInteger).label("connections"))
    .select_from(counts.join(targets))
    .where(counts.c.count == Count.CONNECTIONS.value)
    .group_by(targets.c.name, counts.c.a)
)
INCIDENTS: Final = select(incidents, targets.c.name.label("target")).select_from(incidents.join(targets))
_FIGURES: Final = select(
    func.count(alerts.c.member.distinct()).label("users"),
    func.sum(case((or_(*(alerts.c.state == each for each in OPEN_STATES)), 1), else_=0)).label("broken"),
    func.max(alerts.c.confirmed_at).label("joined_at"),
)

"""Counting everything anew, and comparing it with the counts that every commit moves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, func, literal_column, select, text

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.model import ERROR, UNSPECIFIED, Connection, Intent, Presence
from monitor.core.tally import Count, Key
from monitor.ports import Recounted
from monitor.store.counting import TargetIds, rows_of
from monitor.store.tables import alerts, connections, incidents, targets, transitions, users
from monitor.store.vocabulary import as_other, is_other, placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.store.rows import Record


async def differences(connection: AsyncConnection) -> Mapping[Key, Recounted]:
    """Return where the counts differ from what is stored; the transaction must not have read anything yet."""
    if connection.dialect.name != "sqlite":
        # Its statements must all see the same moment, as SQLite's do by themselves.
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    target_ids = await TargetIds().refresh(connection)
    groups = {(target, count) for target in target_ids for count in Count}
    return compared(await rows_of(connection, groups, target_ids) if groups else {}, await _recounted(connection))


def compared(kept: Mapping[Key, int], counted: Mapping[Key, int]) -> Mapping[Key, Recounted]:
    """Return where ``kept`` rows differ from ``counted`` amounts, which are by the words as they came."""
    now = placed({key: amount for key, amount in counted.items() if key.count is not Count.TRANSITIONS}, kept)
    wrong = {
        key: Recounted(kept=kept.get(key, 0), counted=now[key])
        for key in kept.keys() | now.keys()
        if key.count is not Count.TRANSITIONS and kept.get(key, 0) != now[key]
    }
    least = _least_totals(kept, {key: each for key, each in counted.items() if key.count is Count.TRANSITIONS})
    low = {key: amount for key, amount in least.items() if kept.get(key, 0) < amount}
    return wrong | {key: Recounted(kept=kept.get(key, 0), counted=amount) for key, amount in low.items()}


def _least_totals(kept: Mapping[Key, int], stored: Mapping[Key, int]) -> Counter[Key]:
    """Return what running totals are at least.

    Totals that were moved to ``other`` stay there, also where their words get a row of their own again: what a row
    lacks must be there.
    """
    moved = {key.target for key in kept if key.count is Count.TRANSITIONS and is_other(key)}
    least: Counter[Key] = Counter()
    for key, amount in stored.items():
        if key.target in moved and as_other(key) != key:
            least[as_other(key)] += max(0, amount - kept.get(key, 0))
        else:
            least[key] += amount
    return least


async def _recounted(connection: AsyncConnection) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for row in await connection.execute(_USERS):
        intent, presence = Intent(row.intent), Presence(row.presence)
        for key, amount in tally.of_user(row.target, intent, presence, row.failures, row.outcome).items():
            found[key] += amount * row.amount
    for row in await connection.execute(_CONNECTIONS):
        alike = Connection(provider=row.provider, status=row.status, error_type=row.error_type, resources=row.resources)
        for key, amount in tally.of_connections(row.target, [alike]).items():
            found[key] += amount * row.amount
    for row in await connection.execute(_ALERTS):
        found[Key(row.target, Count.ALERTS, row.provider, row.severity)] += row.amount
    for row in await connection.execute(_INCIDENTS):
        found[Key(row.target, Count.INCIDENTS, row.provider, row.error_type)] += row.amount
    for row in await connection.execute(_TRANSITIONS):
        found[_total(row)] += row.amount
    return found


def _total(row: Record) -> Key:
    """Return the running total that like transitions belong to, as :func:`monitor.core.tally.of_transitions` does."""
    if ERROR not in {row.status, row.previous_status}:
        error_type = ""
    else:
        error_type = (row.error_type if row.status == ERROR else row.previous_error_type) or UNSPECIFIED
    return Key(row.target, Count.TRANSITIONS, row.provider or "", row.kind, error_type)


_TARGET: Final = targets.c.name.label("target")
_AMOUNT: Final = func.count().label("amount")
_ENOUGH: Final[ColumnElement[int]] = literal_column(str(tally.UNSEEN_AFTER))  # a bound parameter cannot be grouped by
_FAILURES: Final = case((users.c.failures >= _ENOUGH, _ENOUGH), else_=literal_column("0")).label("failures")
_USER: Final = (_TARGET, users.c.intent, users.c.presence, users.c.outcome, _FAILURES)
_USERS: Final = select(*_USER, _AMOUNT).select_from(users.join(targets)).group_by(*_USER)
_ALIKE: Final = (
    _TARGET,
    connections.c.provider,
    connections.c.status,
    connections.c.error_type,
    connections.c.resources,
)
_CONNECTIONS: Final = (
    select(*_ALIKE, _AMOUNT)
    .select_from(connections.join(users).join(targets))
    .where(users.c.intent != Intent.REMOVED.value)
    .group_by(*_ALIKE)
)
_ALERT: Final = (_TARGET, alerts.c.provider, alerts.c.severity)
_ALERTS: Final = (
    select(*_ALERT, _AMOUNT)
    .select_from(alerts.join(targets))
    .where(alerts.c.state == AlertState.FIRING.value)
    .group_by(*_ALERT)
)
_INCIDENT: Final = (_TARGET, incidents.c.provider, incidents.c.error_type)
_INCIDENTS: Final = (
    select(*_INCIDENT, _AMOUNT)
    .select_from(incidents.join(targets))
    .where(incidents.c.state == AlertState.FIRING.value)
    .group_by(*_INCIDENT)
)
_TRANSITION: Final = (
    _TARGET,
    transitions.c.provider,
    transitions.c.kind,
    transitions.c.previous_status,
    transitions.c.status,
    transitions.c.previous_error_type,
    transitions.c.error_type,
)
_TRANSITIONS: Final = (
    select(*_TRANSITION, _AMOUNT).select_from(transitions.join(users).join(targets)).group_by(*_TRANSITION)
)

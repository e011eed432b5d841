"""The queue of what waits to be evaluated: its conditions in SQL, and the keys of what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, exists, func, or_, select, text

from monitor.core.alerting import AlertKind, AlertState
from monitor.core.model import UNSPECIFIED, Intent, Kind
from monitor.ports import WaitingKeys
from monitor.store import rows
from monitor.store.due import has_come, is_ahead, is_too_far_ahead
from monitor.store.tables import ADDED, OPEN, alerts, incidents, transitions, undecided, users

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, Dialect, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.policy import Policy
    from monitor.ports import EvaluationScope


async def waiting(
    connection: AsyncConnection, policy: Policy, *, limit: int, now: datetime, scope: EvaluationScope
) -> WaitingKeys:
    """Return the keys of what ``docket.read`` would read, without the columns that may not be readable."""
    queued = of_scope(_QUEUED, scope, now).order_by(undecided.c.id).limit(limit)
    entries = (await connection.execute(queued)).all()
    members = [row.member for row in entries]
    for which in is_due_alert(policy, now):
        due = select(alerts.c.member).where(which, is_not_skipped(alerts.c.member, scope.skipped_members))
        members += (await connection.execute(due.order_by(alerts.c.due_at, alerts.c.id).limit(limit))).scalars()
    firing = select(incidents.c.id).where(is_open_incident(scope))
    return WaitingKeys(
        members=list(dict.fromkeys(members)),
        incidents=(await connection.execute(firing)).scalars().all(),
        last_entry=entries[-1].id if entries else 0,
    )


def anything(policy: Policy, now: datetime, scope: EvaluationScope) -> Any:
    """Return the question whether there is anything to decide."""
    is_tried = is_not_skipped(alerts.c.member, scope.skipped_members)
    return select(
        or_(
            exists(of_scope(_QUEUED, scope, now)),
            *(exists(select(alerts.c.id).where(which, is_tried)) for which in is_due_alert(policy, now)),
            exists(select(incidents.c.id).where(is_open_incident(scope))),
        )
    )


async def open_alert_keys(connection: AsyncConnection, *, limit: int, after: int) -> WaitingKeys:
    """Return the keys of a page of users with open alerts, and with the first page those of the open incidents."""
    # As text: SQLite knows the index over open alerts only by its own words.
    is_next = and_(text(OPEN), alerts.c.member > after)
    page = select(alerts.c.member).where(is_next).distinct().order_by(alerts.c.member).limit(limit)
    members = (await connection.execute(page)).scalars().all()
    firing = select(incidents.c.id).where(incidents.c.state == AlertState.FIRING.value)
    found = [] if after else (await connection.execute(firing)).scalars().all()
    return WaitingKeys(members=members, incidents=found)


def of_scope(query: Select[Any], scope: EvaluationScope, now: datetime, dialect: Dialect | None = None) -> Select[Any]:
    """Return a query on entries that can be decided on, of the users in ``scope`` alone."""
    query = query.where(undecided.c.set_aside_at.is_(None), is_decidable(now))
    if scope.last_entry is not None:
        query = query.where(undecided.c.id <= scope.last_entry)
    if scope.members is not None and dialect is not None:
        query = query.where(rows.among(undecided.c.member, scope.members, dialect))
    return query


def is_decidable(now: datetime) -> ColumnElement[bool]:
    """Return the condition that an entry can be decided on; the query must join the users.

    Whether an error outlasted a removal is known only when the user that was added again has been observed. Where the
    clock was set back after it was added, what was observed last must do.
    """
    return or_(IS_OBSERVED, and_(is_ahead(undecided.c.at, now), users.c.observed_at.is_not(None)))


def is_not_skipped(column: Column[Any], skipped: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a user or incident is not left out."""
    return column.not_in(sorted(skipped))


def is_open_incident(scope: EvaluationScope) -> ColumnElement[bool]:
    """Return the condition that an incident is open and not left out."""
    return and_(incidents.c.state == AlertState.FIRING.value, is_not_skipped(incidents.c.id, scope.skipped_incidents))


def is_due_alert(policy: Policy, now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions under which the time of an alert has come; see ``has_time_come`` in the core."""
    is_unstable = alerts.c.kind == AlertKind.UNSTABLE.value
    is_from_ahead = or_(
        is_ahead(alerts.c.began_at, now),
        and_(is_unstable, is_too_far_ahead(alerts.c.due_at, now, policy.longest_unstable)),
        and_(~is_unstable, is_too_far_ahead(alerts.c.due_at, now, policy.longest_pending)),
    )
    return has_come(alerts.c.due_at, now), and_(~has_come(alerts.c.due_at, now), is_from_ahead)


IS_OBSERVED: Final = or_(undecided.c.kind.is_(None), undecided.c.kind != ADDED, users.c.observed_at >= undecided.c.at)
"""The user of an entry that says that it was added again has been observed since."""
_QUEUED: Final = select(undecided.c.id, undecided.c.member).select_from(undecided.join(users))
_OWN: Final = transitions.alias("own")
_LATER: Final = transitions.alias("later")
_OTHER: Final = undecided.alias("other")
_PROVIDER: Final = (
    select(_OWN.c.provider).where(_OWN.c.id == undecided.c.transition_id).correlate(undecided).scalar_subquery()
)
_IS_REMOVAL: Final = and_(undecided.c.transition_id.is_(None), undecided.c.kind.is_(None))
_REPEATS_ERROR: Final = and_(
    _LATER.c.kind == Kind.ERROR_CHANGED.value,
    func.coalesce(_LATER.c.error_type, UNSPECIFIED) == func.coalesce(_LATER.c.previous_error_type, UNSPECIFIED),
)
"""It starts no alert, so the entry that does is still needed."""
_IS_OUTDATED: Final = exists().where(
    _LATER.c.member == undecided.c.member,
    _LATER.c.observed_at > undecided.c.at,
    or_(_LATER.c.provider.is_(None), _LATER.c.provider == func.coalesce(_PROVIDER, _LATER.c.provider)),
    # Of a removed user that was added again, the first snapshot alone starts no alert that a removal could end.
    or_(undecided.c.transition_id.is_not(None), _LATER.c.baseline.is_(False)),
    ~_REPEATS_ERROR,
    ~exists().where(_OTHER.c.member == _LATER.c.member, _OTHER.c.transition_id == _LATER.c.id),
)
"""A later transition of the same connection, or of the whole user, was evaluated already."""
_IS_BACK: Final = and_(
    exists().where(users.c.id == undecided.c.member, users.c.intent != Intent.REMOVED.value),
    ~exists().where(_OTHER.c.member == undecided.c.member, _OTHER.c.id > undecided.c.id, _OTHER.c.kind == ADDED),
)
"""The removed user was added again, and that was evaluated: its removal must end nothing any more."""
IS_SUPERSEDED: Final = and_(
    or_(undecided.c.kind.is_(None), undecided.c.kind != ADDED), or_(_IS_OUTDATED, and_(_IS_REMOVAL, _IS_BACK))
)
"""What was evaluated later says all that an entry does. An added user's alerts begin again whatever came later."""

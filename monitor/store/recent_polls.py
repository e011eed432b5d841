"""The recently polled users of a target, each by its latest answer: read by two indexes, however large the cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, func, null, select

from monitor.core.model import Outcome
from monitor.core.tally import Count
from monitor.core.target_health import RECENT_USERS, RecentPoll, RecentPolls
from monitor.store.tables import FAILED, PRESENT, counts, users

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.store.rows import Record


async def read(connection: AsyncConnection, target_id: int, since: datetime) -> RecentPolls:
    """Return who was polled at or after ``since``, the latest 200 at most, and how many users count."""
    seen = (
        select(users.c.id, users.c.observed_at.label("at"), users.c.doubts, cast(null(), Text).label("outcome"))
        .where(PRESENT, users.c.target_id == target_id, users.c.observed_at >= since, users.c.failed_at.is_(None))
        .order_by(users.c.observed_at.desc())
        .limit(RECENT_USERS)
    )
    failed = (
        select(users.c.id, users.c.failed_at.label("at"), users.c.doubts, users.c.outcome)
        .where(FAILED, users.c.target_id == target_id, users.c.failed_at >= since)
        .order_by(users.c.failed_at.desc())
        .limit(RECENT_USERS)
    )
    active = select(func.sum(counts.c.value)).where(
        counts.c.target_id == target_id, counts.c.count == Count.USERS.value, counts.c.a == "active"
    )
    found = [*(await connection.execute(seen)).all(), *(await connection.execute(failed)).all()]
    newest = sorted(map(_recent, found), key=lambda poll: (poll.at, poll.key), reverse=True)
    users_that_count = int((await connection.execute(active)).scalar() or 0)
    return RecentPolls(polls=newest[:RECENT_USERS], users=users_that_count)


def _recent(row: Record) -> RecentPoll:
    missing: dict[str, Any] = (row.doubts or {}).get("connections") or {}
    if row.outcome is None:
        return RecentPoll(key=row.id, at=row.at, missing=frozenset(missing))
    return RecentPoll(key=row.id, at=row.at, outcome=Outcome(row.outcome))

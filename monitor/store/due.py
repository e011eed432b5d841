"""Due times and leases in SQL, safe against a clock that was ahead; see :mod:`monitor.core.clock_steps`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_

from monitor.core import clock_steps

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, Table


def is_due(column: Column[datetime], now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that a stored time has come, or is further ahead than its rule allows.

    Where an index must serve it, ask :func:`has_come` and :func:`is_too_far_ahead` one after the other.
    """
    return or_(has_come(column, now), is_too_far_ahead(column, now, longest))


def has_come(column: Column[datetime], now: datetime) -> ColumnElement[bool]:
    """Return the condition that a stored time has come."""
    return column <= now


def is_too_far_ahead(column: Column[datetime], now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that a time was stored by a clock that was ahead."""
    return column > clock_steps.furthest(now, longest)


def is_ahead(column: Column[datetime], now: datetime) -> ColumnElement[bool]:
    """Return the condition that what happened then happened in the future: the clock was set back since."""
    return column > clock_steps.furthest(now, timedelta())


def is_unleased(table: Table, now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that no process holds a row: without a lease, or with one that cannot be in force."""
    return or_(table.c.leased_until.is_(None), is_due(table.c.leased_until, now, longest))

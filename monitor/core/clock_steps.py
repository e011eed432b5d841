"""Clocks that are set back: a time that was stored while the clock was ahead must delay nothing.

Every stored due time follows from a rule that bounds how far ahead it may be: a lease lasts so long, a retry waits at
most so long. A time further ahead than that was written by a clock that has since been set back, so it counts as due.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

SKEW: Final = timedelta(seconds=30)
"""How much the clocks of replicas may differ: without it, the replica whose clock is behind would take a lease away
from one whose clock is ahead, and send an alert before it is confirmed."""


def furthest(now: datetime, longest: timedelta) -> datetime:
    """Return the latest time that a rule which waits at most ``longest`` can have stored."""
    return now + longest + SKEW


def is_ahead(at: datetime, now: datetime) -> bool:
    """Return whether a time at which something happened lies in the future: the clock was set back since."""
    return at > furthest(now, timedelta())


def is_due(at: datetime, now: datetime, longest: timedelta) -> bool:
    """Return whether a stored time has come, or is further ahead than its rule allows."""
    return at <= now or at > furthest(now, longest)

"""When a user is due: its fixed place in the interval, and the back-off after a poll that observed nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uuid import UUID

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_RETRY: Final = timedelta(seconds=5)
ROUNDING: Final = 1e-9
CONFIRM_AFTER: Final = timedelta(seconds=60)
"""An absence is believed only when a second answer confirms it at least this much later (contract, section 5)."""


def place(user_id: UUID) -> float:
    """Return a user's place in any interval, a fixed number in [0, 1), evenly spread over users."""
    return _fraction(user_id, b"place")


def next_due(user_id: UUID, interval: timedelta, now: datetime) -> datetime:
    """Return the first time after ``now`` at which the user's place in the interval comes round."""
    offset = interval * place(user_id)
    passed = (now - EPOCH - offset) // interval
    return EPOCH + offset + (passed + 1) * interval


def needed_rate(users: int, interval: timedelta) -> float:
    """Return the requests per second that it takes to ask ``users`` once in each interval."""
    return users / interval.total_seconds()


def stretched(interval: timedelta, users: int, rate: float) -> timedelta:
    """Return the interval that ``rate`` requests per second can hold: the configured one where they are enough.

    Everyone is then seen later and nobody never. It grows in quarters of the interval, since another interval gives
    every user another place in it.
    """
    quarters = math.ceil(4 * needed_rate(users, interval) / rate - ROUNDING)
    return interval * max(4, quarters) / 4


def backoff(user_id: UUID, failures: int, interval: timedelta) -> timedelta:
    """Return how long to wait after ``failures`` (1 or more) polls in a row that observed nothing.

    Doubles from 5 s, between half and all of it by a jitter fixed for user and count, never over ``interval``.
    """
    doubled: timedelta = FIRST_RETRY * 2 ** min(failures - 1, 24)
    ceiling = min(interval, doubled)
    return ceiling * (0.5 + _jitter(user_id, failures) / 2)


def _jitter(user_id: UUID, failures: int) -> float:
    return _fraction(user_id, b"jitter-%d" % failures)


def _fraction(user_id: UUID, purpose: bytes) -> float:
    digest = blake2b(user_id.bytes, digest_size=6, person=purpose[:16]).digest()
    return int.from_bytes(digest, "big") / (1 << 48)

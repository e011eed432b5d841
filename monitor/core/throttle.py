"""How fast a target may be asked: a token bucket whose rate yields when the target says so.

While requests beside polls (questions, user lists) wait, a tenth of the rate fills a bucket of their own. When many
users are answered 429 or 503 the rate is halved, at most once a second and never below a 32nd
of the configured one; ``Retry-After`` stops it altogether, up to 5 minutes; after 10 s without one it rises by an
eighth of the configured rate a second (contract, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.cadence import EPOCH

FLOOR: Final = 1 / 32
HALVED_AT_MOST_EVERY: Final = timedelta(seconds=1)
LONGEST_RETRY_AFTER: Final = timedelta(minutes=5)
RISES_AFTER: Final = timedelta(seconds=10)
RISE_PER_SECOND: Final = 1 / 8
BURST_SECONDS: Final = 1.0
RESERVED_SHARE: Final = 1 / 10
AWAITED_FOR: Final = timedelta(seconds=2)
"""So long after it asked in vain a request beside polls still waits; it asks again several times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """``rate`` is the configured one in requests per second; ``factor`` is the share of it at ``throttled_at``."""

    rate: float
    factor: float = 1.0
    tokens: float = 0.0
    refilled_at: datetime = EPOCH
    throttled_at: datetime = EPOCH
    halved_at: datetime = EPOCH
    blocked_until: datetime = EPOCH
    reserve: float = 0.0
    awaited_at: datetime = EPOCH

    def factor_at(self, now: datetime) -> float:
        """Return the share of the configured rate that holds at ``now``, in [1/32, 1]."""
        rising = (now - self.throttled_at - RISES_AFTER).total_seconds()
        return min(1.0, self.factor + max(0.0, rising) * RISE_PER_SECOND)

    def take(self, wanted: int, now: datetime) -> tuple[int, Throttle]:
        """Return how many of ``wanted`` requests may start at ``now``, and the throttle after they did."""
        filled = self._refill(now)
        granted = 0 if now < filled.blocked_until else max(0, min(wanted, int(filled.tokens)))
        return granted, replace(filled, tokens=filled.tokens - granted)

    def take_reserved(self, wanted: int, now: datetime) -> tuple[int, Throttle]:
        """Return how many of ``wanted`` requests beside polls may start, and the throttle after they did.

        They take what is reserved for them, then what polls have left: whole requests of each, or they would take the
        fractions that polls are waiting to fill.
        """
        filled = self._refill(now)
        reserved, left = int(filled.reserve), max(0, int(filled.tokens))
        granted = 0 if now < filled.blocked_until else max(0, min(wanted, reserved + left))
        used = min(granted, reserved)
        return granted, replace(
            filled,
            reserve=filled.reserve - used,
            tokens=filled.tokens - (granted - used),
            awaited_at=now if granted < wanted else filled.awaited_at,
        )

    def is_free(self, now: datetime) -> bool:
        """Return whether the whole configured rate holds."""
        return self.factor_at(now) >= 1 and now >= min(self.blocked_until, now + LONGEST_RETRY_AFTER)

    def allowed_factor(self, now: datetime) -> float:
        """Return the share of the configured rate that may be used at ``now``, 0 while nothing may be sent."""
        return 0.0 if now < self.blocked_until else self.factor_at(now)

    def give_back(self, unused: int) -> Throttle:
        """Return the throttle after ``unused`` granted requests were not made."""
        return replace(self, tokens=self.tokens + unused)

    def after_refusal(self, now: datetime, retry_after: timedelta | None) -> Throttle:
        """Return the throttle after the target answered 429 or 503 at ``now``."""
        filled = self._refill(now)
        factor, halved_at = filled.factor_at(now), filled.halved_at
        if now - halved_at >= HALVED_AT_MOST_EVERY:
            factor, halved_at = max(FLOOR, factor / 2), now
        wait = min(retry_after or timedelta(0), LONGEST_RETRY_AFTER)
        return replace(
            filled,
            factor=factor,
            halved_at=halved_at,
            throttled_at=now,
            blocked_until=max(filled.blocked_until, now + wait),
        )

    def _refill(self, now: datetime) -> Throttle:
        rate = self.rate * self.factor_at(now)
        passed = max(0.0, (now - self.refilled_at).total_seconds())
        room = max(1.0, rate * BURST_SECONDS)
        is_awaited = timedelta(0) <= now - self.awaited_at < AWAITED_FOR
        # One more than a second's worth, so that no fraction is lost while a whole request fills.
        reserved = min(passed * rate * RESERVED_SHARE, 1 + room * RESERVED_SHARE - self.reserve) if is_awaited else 0
        # A clock that stepped back must not leave a refusal in the future, where it would hold for that long.
        return replace(
            self,
            tokens=min(room, self.tokens + passed * rate - reserved),
            reserve=self.reserve + reserved,
            awaited_at=min(self.awaited_at, now),
            refilled_at=now,
            throttled_at=min(self.throttled_at, now),
            halved_at=min(self.halved_at, now),
            blocked_until=min(self.blocked_until, now + LONGEST_RETRY_AFTER),
        )

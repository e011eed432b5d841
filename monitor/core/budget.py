"""What all replicas share of a target: how fast it may be asked, and whether it rejects us.

It is read, changed and written under one lock, by whoever claims. What a process learns from an answer reaches the
others as a lesson: a change of the budget that the next claim makes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.cadence import EPOCH
from monitor.core.throttle import Throttle

PROBE_EVERY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``rejected`` is the reason for a person since ``rejected_at``, None while the target does not reject us."""

    throttle: Throttle
    rejected: str | None = None
    rejected_at: datetime = EPOCH
    probed_at: datetime = EPOCH

    def allows(self, wanted: int, now: datetime) -> int:
        """Return how many of ``wanted`` requests may start: within the rate, or while rejected one every 30 s."""
        granted, _ = self.throttle.take(wanted, now)
        if self.rejected is None:
            return granted
        return min(granted, int(not timedelta(0) <= now - self.probed_at < PROBE_EVERY))

    def spend(self, used: int, now: datetime) -> Budget:
        """Return the budget after ``used`` requests that it allowed."""
        _, throttle = self.throttle.take(used, now)
        if self.rejected is None or not used:
            return replace(self, throttle=throttle)
        # Where the clock stepped back, so does the rejection, or no answer would come after it for that long.
        return replace(self, throttle=throttle, probed_at=now, rejected_at=min(self.rejected_at, now))

    def blocks(self, asked_at: datetime, now: datetime) -> bool:
        """Return whether a request that was allowed at ``asked_at`` must not start any more."""
        if self.rejected is not None and asked_at < self.rejected_at:
            return True
        return asked_at < self.throttle.throttled_at and now < self.throttle.blocked_until


NEW: Final = Budget(throttle=Throttle(rate=0))
"""What nobody has spent from yet; the rate comes with whoever spends."""
Lesson = Callable[[Budget], Budget]
"""What one process learned of a target, for all."""


def unspent(unused: int) -> Lesson:
    """Teach that this many requests were allowed and not made."""
    return lambda budget: replace(budget, throttle=budget.throttle.give_back(unused))


def slowed(now: datetime, retry_after: timedelta | None) -> Lesson:
    """Teach that the target answered 429 or 503."""
    return lambda budget: replace(budget, throttle=budget.throttle.after_refusal(now, retry_after))


def rejected(reason: str, now: datetime) -> Lesson:
    """Teach that the target rejects us."""

    def learn(budget: Budget) -> Budget:
        if budget.rejected is not None:
            return budget
        return replace(budget, rejected=reason, rejected_at=now, probed_at=now)

    return learn


def readmitted(asked_at: datetime) -> Lesson:
    """Teach that a request which was made at ``asked_at`` got a good answer."""
    return lambda budget: replace(budget, rejected=None) if asked_at >= budget.rejected_at else budget


def probing(budget: Budget) -> Budget:
    """Teach that somebody has reason to try at once, such as a new process that may have a new key."""
    return replace(budget, probed_at=EPOCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a target may be asked: ``rate`` in requests per second, and what was learned since the last claim."""

    rate: float
    lessons: tuple[Lesson, ...] = ()

    def applied(self, budget: Budget) -> Budget:
        """Return the budget after the lessons, at this rate."""
        taught = replace(budget, throttle=replace(budget.throttle, rate=self.rate))
        for each in self.lessons:
            taught = each(taught)
        return taught

"""What all replicas share of a target: how fast it may be asked, and what is known of its health.

It is read, changed and written under one lock, by whoever claims users or assesses answers. What a process learns
between two claims reaches the others as a lesson: a change of the budget that the next claim makes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core.cadence import EPOCH
from monitor.core.model import Outcome
from monitor.core.target_health import Fault, TargetHealth, assess, is_throttling, set_throttled
from monitor.core.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.target_health import PollAnswer, RecentPolls


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``probed_at`` is when a user of a target that does not work was polled last."""

    throttle: Throttle
    health: TargetHealth = field(default_factory=TargetHealth)
    probed_at: datetime = EPOCH

    def allows(self, wanted: int, now: datetime) -> int:
        """Return how many of ``wanted`` users may be polled: within the rate, or one now and then as a probe."""
        granted, _ = self.throttle.take(wanted, now)
        probe_every = self.health.probe_every
        if probe_every is None:
            return granted
        return min(granted, int(not timedelta(0) <= now - self.probed_at < probe_every))

    def spend(self, used: int, now: datetime) -> Budget:
        """Return the budget after ``used`` polls that it allowed."""
        _, throttle = self.throttle.take(used, now)
        probed_at = now if used and self.health.probe_every is not None else self.probed_at
        # Where the clock stepped back, so do the verdicts, or no answer would come after them for that long.
        return replace(self, throttle=throttle, probed_at=probed_at, health=self._settled(now))

    def spend_reserved(self, wanted: int, now: datetime) -> tuple[int, Budget]:
        """Return how many requests beside polls may be made now, of at most ``wanted``, and the budget after them."""
        if self.health.rejected is not None:
            return 0, self
        granted, throttle = self.throttle.take_reserved(wanted, now)
        return granted, replace(self, throttle=throttle)

    def ask(self, now: datetime) -> tuple[bool, Budget]:
        """Return whether the target is to be asked about itself now, and the budget after that."""
        health = self.health.not_ahead_of(now)
        if not health.asks(now):
            return False, self
        granted, throttle = self.throttle.take_reserved(1, now)
        if granted:
            health = replace(health, asked_at=now)
        return granted > 0, replace(self, throttle=throttle, health=health)

    def blocks(self, asked_at: datetime, now: datetime) -> bool:
        """Return whether a request that was allowed at ``asked_at`` must not start any more."""
        verdict = self.health.rejected or self.health.unreachable
        if verdict is not None and asked_at < verdict.since:
            return True
        return asked_at < self.throttle.throttled_at and now < self.throttle.blocked_until

    def after_answers(self, answers: Sequence[PollAnswer], recent: RecentPolls, now: datetime) -> Budget:
        """Return the budget after polls ended; ``recent`` includes them."""
        health = assess(self.health.not_ahead_of(now), answers, recent, now)
        throttle, code = self.throttle, None
        if is_throttling(answers, recent, now):
            refusals = [answer for answer in answers if answer.counts and answer.outcome is Outcome.THROTTLED]
            waits = [answer.retry_after for answer in refusals if answer.retry_after is not None]
            throttle = throttle.after_refusal(now, max(waits, default=None))
            code = max(refusals, key=lambda answer: (answer.at, answer.key)).code
        health = set_throttled(health, now, throttled=not throttle.is_free(now), code=code)
        return replace(self, throttle=throttle, health=health)

    def _settled(self, now: datetime) -> TargetHealth:
        """Return the health, the throttling over where the whole rate is back."""
        health = self.health.not_ahead_of(now)
        if Fault.THROTTLED in health.verdicts and self.throttle.is_free(now):
            return set_throttled(health, now, throttled=False)
        return health


NEW: Final = Budget(throttle=Throttle(rate=0))
"""What nobody has spent from yet; the rate comes with whoever spends."""
Lesson = Callable[[Budget], Budget]
"""What one process learned of a target, for all."""


def unspent(unused: int) -> Lesson:
    """Teach that this many requests were allowed and not made."""
    return lambda budget: replace(budget, throttle=budget.throttle.give_back(unused))


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
        for lesson in self.lessons:
            taught = lesson(taught)
        return taught

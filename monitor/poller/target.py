"""One target as the poller sees it: whom to ask, how fast, how often, and whether it answers at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from monitor import events
from monitor.core import budget
from monitor.core.budget import NEW, Pace
from monitor.core.cadence import needed_rate, stretched
from monitor.core.health import Health
from monitor.core.incidents import Cause
from monitor.core.model import Outcome, Presence

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.core.budget import Budget, Lesson
    from monitor.core.judge import Cadence, Claim
    from monitor.ports import Answer, Junction, Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """``max_requests_per_second`` bounds all requests to this target, of all replicas together."""

    name: str
    max_requests_per_second: float
    cadence: Cadence


class Target:
    """Holds what is known of a target, here and by all replicas, and tells of changes once each."""

    def __init__(
        self, settings: TargetSettings, junction: Junction, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self.name = settings.name
        self.rate = settings.max_requests_per_second
        self.junction = junction
        self.cadence = settings.cadence
        self.health = Health()
        self._configured = settings.cadence.interval
        # A rejection that others met may have ended with the key that this process was started with.
        self._lessons: list[Lesson] = [budget.probing]
        self._budget = self.pace().applied(NEW)
        self._hindered = False
        self._metrics = metrics
        self._log = log.bind(target=self.name)
        metrics.target_up(self.name, up=True)
        metrics.throttle_factor(self.name, 1.0)

    @property
    def factor(self) -> float:
        """The share of the rate that held when the target was last throttled."""
        return self._budget.throttle.factor

    def pace(self) -> Pace:
        """Return how fast the target may be asked, and what was learned here since the budget was last agreed on."""
        return Pace(rate=self.rate, lessons=tuple(self._lessons))

    def agree(self, pace: Pace, agreed: Budget, now: datetime) -> None:
        """Take over the budget that all replicas share, after it took in the lessons of ``pace``."""
        del self._lessons[: len(pace.lessons)]
        self._budget = self.pace().applied(agreed)
        factor = self._budget.throttle.factor_at(now)
        self._hindered = self._budget.rejected is not None or factor < 1
        self._metrics.throttle_factor(self.name, factor)

    def believe(self) -> None:
        """Take over what other replicas found out of a rejection; who found it out told of it."""
        self.health = self.health.told(self._budget.rejected, self._budget.rejected_at)
        self._metrics.target_up(self.name, up=self.health.up)

    def blocks(self, asked_at: datetime, now: datetime) -> bool:
        """Return whether a poll that was allowed at ``asked_at`` must not start any more."""
        return self._hindered and self._budget.blocks(asked_at, now)

    def give_back(self, unused: int) -> None:
        """Give back requests that were allowed and not made."""
        if unused:
            self._learn(budget.unspent(unused))

    def size_up(self, users: int) -> bool:
        """Fit the interval to the number of active users; return whether it became shorter."""
        before, interval = self.cadence.interval, stretched(self._configured, users, self.rate)
        if interval == before:
            return False
        self.cadence = replace(self.cadence, interval=interval)
        facts = {
            "users": users,
            "needed_requests_per_second": round(needed_rate(users, self._configured), 3),
            "max_requests_per_second": self.rate,
            "interval_seconds": self._configured.total_seconds(),
            "effective_interval_seconds": interval.total_seconds(),
        }
        if interval > self._configured:
            self._log.warning(events.TARGET_OVERCOMMITTED, **facts)
        else:
            self._log.info(events.TARGET_KEEPS_UP, **facts)
        return interval < before

    def heard(self, claim: Claim, answer: Answer, outcome: Outcome, *, started_at: datetime, now: datetime) -> None:
        """Learn from one answer what it says of the target as a whole."""
        if outcome is Outcome.THROTTLED:
            self._slow_down(answer, now)
        before = self.health
        self.health = before.after(
            outcome,
            started_at=started_at,
            now=now,
            answered=answer.answered,
            known_gone=claim.presence is Presence.GONE,
        )
        if self.health.rejected != before.rejected:
            reason = self.health.rejected
            self._learn(budget.rejected(reason, now) if reason else budget.readmitted(started_at))
        if self.health.up != before.up or self.health.rejected != before.rejected:
            self._tell(before, answer)

    def _learn(self, lesson: Lesson) -> None:
        self._lessons.append(lesson)
        self._hindered = True
        self._budget = lesson(self._budget)

    def _slow_down(self, answer: Answer, now: datetime) -> None:
        was = self._budget.throttle.factor_at(now)
        self._learn(budget.slowed(now, answer.retry_after))
        factor = self._budget.throttle.factor_at(now)
        self._metrics.throttle_factor(self.name, factor)
        if was == 1.0:
            self._log.warning(
                events.TARGET_THROTTLED,
                code=answer.code,
                factor=factor,
                retry_after=answer.retry_after.total_seconds() if answer.retry_after else None,
            )

    def _tell(self, before: Health, answer: Answer) -> None:
        self._metrics.target_up(self.name, up=self.health.up)
        if self.health.rejected and not before.rejected:
            told = {"cause": Cause.MONITOR.value, "code": answer.code, "detail": answer.detail}
            self._log.error(events.TARGET_REJECTED, reason=self.health.rejected, **told)
        elif before.up and not self.health.up:
            # Without an answer it may as well be the network between.
            cause = Cause.JUNCTION if answer.answered else Cause.UNKNOWN
            self._log.error(events.TARGET_UNREACHABLE, cause=cause.value, code=answer.code, detail=answer.detail)
        elif self.health.up:
            self._log.info(events.TARGET_RECOVERED, reason=before.rejected or "it answers again")

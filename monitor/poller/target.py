"""One target as the poller sees it: whom to ask, how fast, and whether it answers at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import events
from monitor.core.health import Health
from monitor.core.model import Outcome, Presence
from monitor.core.throttle import Throttle

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.core.judge import Claim
    from monitor.ports import Answer, Junction, Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """``max_requests_per_second`` bounds all requests to this target."""

    name: str
    max_requests_per_second: float


class Target:
    """Holds a target's throttle and health, and tells of their changes once each."""

    def __init__(
        self, settings: TargetSettings, junction: Junction, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self.name = settings.name
        self.junction = junction
        self.throttle = Throttle(rate=settings.max_requests_per_second)
        self.health = Health()
        self._metrics = metrics
        self._log = log.bind(target=self.name)
        metrics.target_up(self.name, up=True)
        metrics.throttle_factor(self.name, 1.0)

    def admit(self, room: int, now: datetime) -> int:
        """Return how many of ``room`` polls may start now; what is not used is to be given back."""
        allowed, health = self.health.may_poll(room, now)
        granted, self.throttle = self.throttle.take(allowed, now)
        if granted:
            self.health = health
        self._metrics.throttle_factor(self.name, self.throttle.factor_at(now))
        return granted

    def give_back(self, unused: int) -> None:
        """Take back permissions that no poll used."""
        self.throttle = self.throttle.give_back(unused)

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
        if self.health.up != before.up or self.health.rejected != before.rejected:
            self._tell(before, answer)

    def _slow_down(self, answer: Answer, now: datetime) -> None:
        was = self.throttle.factor_at(now)
        self.throttle = self.throttle.after_refusal(now, answer.retry_after)
        factor = self.throttle.factor_at(now)
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
            self._log.error(events.TARGET_REJECTED, reason=self.health.rejected, code=answer.code, detail=answer.detail)
        elif before.up and not self.health.up:
            self._log.error(events.TARGET_UNREACHABLE, code=answer.code, detail=answer.detail)
        elif self.health.up:
            self._log.info(events.TARGET_RECOVERED, reason=before.rejected or "it answers again")

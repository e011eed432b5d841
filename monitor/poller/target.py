"""One target as the poller sees it: whom to ask, how fast, how often, and whether it works at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core import budget
from monitor.core.budget import NEW, Pace
from monitor.core.cadence import needed_rate, stretched
from monitor.core.incidents import Cause
from monitor.core.target_health import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from structlog.typing import FilteringBoundLogger

    from monitor.core.budget import Budget, Lesson
    from monitor.core.judge import Cadence
    from monitor.core.target_health import TargetHealth, TargetVerdict
    from monitor.ports import Assessed, Junction, Metrics

EVENTS: Final[Mapping[str, str]] = {
    "rejected": events.TARGET_REJECTED,
    "not_found": events.TARGET_REJECTED,
    "unreachable": events.TARGET_UNREACHABLE,
    "implausible": events.TARGET_IMPLAUSIBLE,
    "throttled": events.TARGET_THROTTLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """``max_requests_per_second`` bounds all requests to this target, of all replicas together."""

    name: str
    max_requests_per_second: float
    cadence: Cadence


class Target:
    """Holds what is known of a target, here and by all replicas, and logs each change of it once."""

    def __init__(
        self, settings: TargetSettings, junction: Junction, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self.name = settings.name
        self.rate = settings.max_requests_per_second
        self.junction = junction
        self.cadence = settings.cadence
        self.is_hanging = False
        """Whether the last answers timed out, so that no idle slot of another target should be lent."""
        self._configured = settings.cadence.interval
        # A rejection that others met may have ended with the key that this process was started with.
        self._lessons: list[Lesson] = [budget.probing]
        self._budget = self.pace().applied(NEW)
        self._is_slowed = False
        self._metrics = metrics
        self._log = log.bind(target=self.name)
        metrics.target_up(self.name, up=True)
        metrics.throttle_factor(self.name, 1.0)

    @property
    def health(self) -> TargetHealth:
        """What all replicas knew of the target at the last claim."""
        return self._budget.health

    @property
    def factor(self) -> float:
        """The share of the rate that held when the target was last throttled."""
        return self._budget.throttle.factor

    def pace(self) -> Pace:
        """Return how fast the target may be asked, and what was learned here since the budget was last agreed on."""
        return Pace(rate=self.rate, lessons=tuple(self._lessons))

    def sync_budget(self, pace: Pace, agreed: Budget, now: datetime) -> None:
        """Take over the budget that all replicas share, after it took in the lessons of ``pace``."""
        del self._lessons[: len(pace.lessons)]
        was_throttled = self._budget.health.verdicts.get(Fault.THROTTLED)
        self._budget = self.pace().applied(agreed)
        health, throttle = agreed.health, agreed.throttle
        self._is_slowed = health.probe_every is not None or not throttle.is_free(now)
        self._metrics.throttle_factor(self.name, throttle.allowed_factor(now))
        self._metrics.target_up(self.name, up=health.is_up)
        if was_throttled and Fault.THROTTLED not in health.verdicts and health.unreachable is None:
            lasted = (now - was_throttled.since).total_seconds()
            self._log.info(events.TARGET_UNTHROTTLED, seconds=round(max(0.0, lasted), 1))

    def note_assessment(self, pace: Pace, assessed: Assessed, now: datetime) -> None:
        """Take over what answers made of the target, and log what is new."""
        before, after = assessed.before.health.verdicts, assessed.after.health.verdicts
        for key, verdict in after.items():
            if key not in before:
                self._log_begin(verdict, assessed.after, now)
        for key, verdict in before.items():
            if key not in after and verdict.fault is not Fault.THROTTLED:
                self._log_end(verdict, now)
        self.sync_budget(pace, assessed.after, now)

    def note_answer(self, *, timed_out: bool) -> None:
        """Note whether the last answer timed out."""
        self.is_hanging = timed_out

    def blocks(self, asked_at: datetime, now: datetime) -> bool:
        """Return whether a poll that was allowed at ``asked_at`` must not start any more."""
        return self._is_slowed and self._budget.blocks(asked_at, now)

    def give_back(self, unused: int) -> None:
        """Give back requests that were allowed and not made."""
        if unused:
            self._lessons.append(budget.unspent(unused))

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

    def _log_begin(self, verdict: TargetVerdict, after: Budget, now: datetime) -> None:
        facts: dict[str, object] = {"code": verdict.code, "detail": verdict.detail, "cause": _cause(verdict).value}
        if verdict.provider is not None:
            facts["provider"] = verdict.provider
        event, reason = EVENTS[verdict.fault.reason], verdict.fault.description
        if verdict.fault in {Fault.THROTTLED, Fault.PROVIDER_MISSING}:
            if verdict.fault is Fault.THROTTLED:
                facts |= _wait_in_force(after, now)
            self._log.warning(event, reason=reason, **facts)
        else:
            self._log.error(event, reason=reason, **facts)

    def _log_end(self, verdict: TargetVerdict, now: datetime) -> None:
        seconds = round(max(0.0, (now - verdict.since).total_seconds()), 1)
        provider = {} if verdict.provider is None else {"provider": verdict.provider}
        self._log.info(events.TARGET_RECOVERED, reason=verdict.fault.reason, seconds=seconds, **provider)


def _cause(verdict: TargetVerdict) -> Cause:
    if verdict.fault is Fault.REJECTED:
        return Cause.MONITOR
    if verdict.fault is Fault.UNREACHABLE and not (verdict.code or "").isdigit():
        return Cause.UNKNOWN  # without an answer it may as well be the network between
    return Cause.JUNCTION


def _wait_in_force(after: Budget, now: datetime) -> dict[str, float]:
    wait: timedelta = after.throttle.blocked_until - now
    factor = after.throttle.factor_at(now)
    return {"factor": factor, "wait_seconds": round(max(0.0, wait.total_seconds()), 1)}

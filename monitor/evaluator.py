"""Decides on alerts: whenever something new is stored, and as time passes, on one replica at a time.

A decision may depend on other users (a wave is one incident), so it is not taken in a poll's transaction, where it
would hold up other polls, but on what these have committed: in order, exactly once, by whoever has the lease.

One user's rows never stop the evaluation of others. When a batch fails for an unexpected reason:

1. An evaluation of no user at all is tried. If that fails too, the fault is not a user's: the job crashes as a whole.
2. Open incidents are evaluated in halves until the failing ones stand alone. They are skipped.
3. Users are evaluated in halves until the failing ones stand alone; everybody else is decided in the same tick. The
   entries of a failing user are set aside with the reason, and its due alerts are skipped.
4. What was set aside or skipped is tried again when a daemon starts and once an hour.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from monitor import events
from monitor.core.evaluation import evaluate
from monitor.core.wording import clean
from monitor.errors import StoreUnavailable
from monitor.job_border import EVALUATE
from monitor.ports import EVERYTHING, EvaluationScope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.core.evaluation import Outcome
    from monitor.core.policy import Policy
    from monitor.job_border import JobBorder
    from monitor.ports import Alerts, Metrics, Taken

T = TypeVar("T")
AT_ONCE: Final = 500
LEASE: Final = timedelta(seconds=10)
"""After this another replica decides on what a process took and did not settle."""
RETRY_EVERY: Final = 3600.0
"""Seconds after which what was set aside is tried again: a fault that passed costs an alert an hour, not more."""
NO_USER: Final = EvaluationScope(members=frozenset(), incidents=frozenset())


class Evaluator:
    """Takes dockets and settles them, whenever it is woken."""

    def __init__(
        self,
        *,
        alerts: Alerts,
        policy: Policy,
        sinks: Collection[str],
        metrics: Metrics,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
        user_id: Callable[[UUID], str] = str,
    ) -> None:
        """Keep the settings.

        Args:
            alerts: what is decided on, and where decisions are kept.
            policy: what a person decided.
            sinks: names of where people hear of alerts.
            metrics: count users whose entries cannot be evaluated.
            log: names them.
            clock: the time of day.
            user_id: how a user id is logged.
        """
        self._alerts = alerts
        self._policy = policy
        self._sinks = sinks
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._user_id = user_id
        self._scope = EVERYTHING
        self._retry_at = time.monotonic()
        self._has_notified = False

    async def decide(self) -> bool:
        """Decide on all there is now; return whether people are to hear of something.

        Raises:
            StoreUnavailable: what was not settled is decided later.
        """
        self._has_notified = False
        await self._retry_set_aside()
        while await self._decide_next():
            pass
        return self._has_notified

    async def _retry_set_aside(self) -> None:
        if time.monotonic() >= self._retry_at:
            await self._alerts.retry_set_aside()
            self._scope = EVERYTHING
            self._retry_at = time.monotonic() + RETRY_EVERY

    async def _decide_next(self) -> bool:
        """Decide on the next batch; return whether there is more."""
        try:
            return await self._decide_on(self._scope)
        except StoreUnavailable:
            raise
        except Exception:
            if not await self._isolate():
                raise
            return True

    async def _decide_on(self, scope: EvaluationScope) -> bool:
        taken = await self._alerts.take(self._policy, limit=AT_ONCE, now=self._clock(), lease=LEASE, scope=scope)
        if taken is None:
            return False
        try:
            outcome = evaluate(taken.docket, self._policy, self._clock())
            settled = await self._settle(taken, outcome)
        except Exception:
            await self._alerts.release(taken)
            raise
        self._has_notified |= settled and _is_told(outcome)
        return settled and taken.more

    async def _settle(self, taken: Taken, outcome: Outcome) -> bool:
        return await self._alerts.settle(taken, outcome, self._policy, sinks=self._sinks)

    async def _isolate(self) -> bool:
        """Decide on everybody but the failing; return whether any of them could be told apart."""
        now, before = self._clock(), self._scope
        waiting = await self._alerts.waiting(self._policy, limit=AT_ONCE, now=now, scope=before)
        await self._decide_on(NO_USER)
        incidents = await self._find_failing(
            waiting.incidents, lambda some: replace(before, members=frozenset(), incidents=some)
        )
        for incident, error in incidents.items():
            self._skip_incident(incident, error)
        members = await self._find_failing(
            waiting.members, lambda some: replace(self._scope, members=some, last_entry=waiting.last_entry)
        )
        for member, error in members.items():
            await self._set_aside(member, waiting.last_entry, error)
        return bool(incidents or members)

    async def _find_failing(
        self, keys: Sequence[T], scope_of: Callable[[frozenset[T]], EvaluationScope]
    ) -> Mapping[T, Exception]:
        """Decide on these users or incidents; return those that cannot be decided on, each with its error."""
        if not keys:
            return {}
        try:
            await self._decide_on(scope_of(frozenset(keys)))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the border between users
            if len(keys) == 1:
                return {keys[0]: error}
            half = len(keys) // 2
            return {
                **await self._find_failing(keys[:half], scope_of),
                **await self._find_failing(keys[half:], scope_of),
            }
        return {}

    async def _set_aside(self, member: int, last_entry: int, error: Exception) -> None:
        reason = clean(f"{type(error).__name__}: {error}") or ""
        done = await self._alerts.set_aside(member, last_entry=last_entry, reason=reason, now=self._clock())
        self._scope = replace(self._scope, skipped_members=self._scope.skipped_members | {member})
        if done is not None:
            user = {"target": done.user.target, "user_id": self._user_id(done.user.user_id)}
            self._report(error, **user, entries=done.entries)

    def _skip_incident(self, incident: UUID, error: Exception) -> None:
        self._scope = replace(self._scope, skipped_incidents=self._scope.skipped_incidents | {incident})
        self._report(error, incident_id=str(incident))

    def _report(self, error: Exception, **about: object) -> None:
        self._log.error(events.EVALUATION_SET_ASIDE, **about, reason=type(error).__name__, exc_info=error)
        self._metrics.job_crashed(EVALUATE)


class EvaluationLoop:
    """Runs an evaluator beside the polls."""

    def __init__(self, evaluator: Evaluator, *, border: JobBorder, on_told: Callable[[], None]) -> None:
        self._evaluator = evaluator
        self._border = border
        self._on_told = on_told
        self._wake = asyncio.Event()
        self._stopping = False

    def tick(self) -> None:
        """Decide now."""
        self._wake.set()

    def stop(self) -> None:
        """Decide on what there is; then :meth:`run` returns."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Decide until :meth:`stop`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            last = self._stopping
            await self._decide()
            if last:
                return

    async def _decide(self) -> None:
        # What was not settled when it fails is decided at the next tick.
        async with self._border(EVALUATE):
            if await self._evaluator.decide():
                self._on_told()


def _is_told(outcome: Outcome) -> bool:
    return bool(outcome.incidents) or any(each.told for each in outcome.decisions)

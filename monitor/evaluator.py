"""Decides on alerts: whenever something new is stored, and as time passes, on one replica at a time.

A decision may depend on other users (a wave is one incident), so it is not taken in a poll's transaction, where it
would hold up other polls, but on what these have committed: in order, exactly once, by whoever has the lease.

One user's rows never stop the evaluation of others. When a batch fails for an unexpected reason:

1. An evaluation of no user at all is tried. If that fails too, the fault is not a user's: the job crashes as a whole.
2. Open incidents are evaluated in halves until the failing ones stand alone. They are skipped.
3. Users are evaluated in halves until the failing ones stand alone; everybody else is decided in the same tick. The
   entries of a failing user are set aside with the reason, and its due alerts are skipped.
4. What was set aside or skipped is tried again when a daemon starts and once an hour.

When a daemon starts, its policy is applied to the alerts and incidents that are open, with the same isolation.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from monitor import events
from monitor.core.evaluation import evaluate
from monitor.core.policy_change import apply_policy
from monitor.core.wording import clean
from monitor.errors import StoreUnavailable
from monitor.job_border import EVALUATE
from monitor.ports import EVERYTHING, EvaluationScope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.core.evaluation import Docket, Outcome
    from monitor.core.policy import Policy
    from monitor.job_border import JobBorder
    from monitor.ports import Alerts, Metrics, Taken, WaitingKeys

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
        self._policy_applied_until = 0
        self._is_policy_applied = False
        self._policy_retry_at = math.inf

    async def apply_policy(self) -> bool:
        """Apply the policy to alerts and incidents that were open before; return whether people are to hear of it.

        A page at a time. Where another replica has alerts in hand, the rest follows at the next call; once all is done,
        a call does nothing. Users and incidents for which it fails are logged and tried again after an hour.

        Raises:
            StoreUnavailable: the rest follows at the next call.
        """
        self._has_notified = False
        if time.monotonic() >= self._policy_retry_at:
            self._policy_applied_until, self._is_policy_applied, self._policy_retry_at = 0, False, math.inf
        while not self._is_policy_applied and await self._apply_policy_to_next_page():
            pass
        return self._has_notified

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

    async def _apply_policy_to_next_page(self) -> bool:
        """Apply the policy to the next users; return False where another replica has alerts in hand."""
        page = await self._alerts.open_alert_keys(limit=AT_ONCE, after=self._policy_applied_until)
        is_done = True
        try:
            if page.members or page.incidents:
                is_done = await self._apply_policy_to(page.members, page.incidents)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - the border between users
            is_done = await self._apply_policy_apart(page)
        if is_done and len(page.members) == AT_ONCE:
            self._policy_applied_until = page.members[-1]
        elif is_done:
            self._is_policy_applied = True
        return is_done

    async def _apply_policy_to(self, members: Collection[int], incidents: Collection[UUID]) -> bool:
        """Apply the policy to these; return False where another replica has alerts in hand."""
        scope = EvaluationScope(members=frozenset(members), incidents=frozenset(incidents))
        taken = await self._alerts.claim_open_alerts(self._policy, scope=scope, now=self._clock(), lease=LEASE)
        return taken is not None and await self._commit(taken, apply_policy)

    async def _apply_policy_apart(self, page: WaitingKeys) -> bool:
        """Apply the policy to all but the failing; return False where another replica has alerts in hand."""
        are_done = [await self._apply_policy_to((), ())]

        async def apply_to(members: Collection[int], incidents: Collection[UUID]) -> None:
            are_done.append(await self._apply_policy_to(members, incidents))

        incidents = await find_failing(page.incidents, lambda some: apply_to((), some))
        members = await find_failing(page.members, lambda some: apply_to(some, ()))
        if not all(are_done):
            return False
        for incident, error in incidents.items():
            self._report(error, incident_id=str(incident))
        for member, error in members.items():
            await self._report_user(member, 0, error)
        if incidents or members:
            self._policy_retry_at = time.monotonic() + RETRY_EVERY
        return True

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
        return await self._commit(taken, evaluate) and taken.more

    async def _commit(self, taken: Taken, decide: Callable[[Docket, Policy, datetime], Outcome]) -> bool:
        """Decide on what was taken and write it; return whether this process still held the lease."""
        try:
            outcome = decide(taken.docket, self._policy, self._clock())
            settled = await self._alerts.settle(taken, outcome, self._policy, sinks=self._sinks)
        except Exception:
            await self._alerts.release(taken)
            raise
        self._has_notified |= settled and _is_told(outcome)
        return settled

    async def _isolate(self) -> bool:
        """Decide on everybody but the failing; return whether any of them could be told apart."""
        now, before = self._clock(), self._scope
        waiting = await self._alerts.waiting(self._policy, limit=AT_ONCE, now=now, scope=before)
        await self._decide_on(NO_USER)
        incidents = await find_failing(
            waiting.incidents,
            lambda some: self._decide_on(replace(before, members=frozenset(), incidents=some)),
        )
        for incident, error in incidents.items():
            self._skip_incident(incident, error)
        members = await find_failing(
            waiting.members,
            lambda some: self._decide_on(replace(self._scope, members=some, last_entry=waiting.last_entry)),
        )
        for member, error in members.items():
            await self._set_aside(member, waiting.last_entry, error)
        return bool(incidents or members)

    async def _set_aside(self, member: int, last_entry: int, error: Exception) -> None:
        self._scope = replace(self._scope, skipped_members=self._scope.skipped_members | {member})
        await self._report_user(member, last_entry, error)

    async def _report_user(self, member: int, last_entry: int, error: Exception) -> None:
        """Set a user's entries up to ``last_entry`` aside, and log it; 0 sets nothing aside."""
        reason = clean(f"{type(error).__name__}: {error}") or ""
        done = await self._alerts.set_aside(member, last_entry=last_entry, reason=reason, now=self._clock())
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
            is_told, failure = False, None
            try:
                is_told = await self._evaluator.apply_policy()
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - raised below: it must not keep from deciding what is new
                failure = error
            if await self._evaluator.decide() or is_told:
                self._on_told()
            if failure is not None:
                raise failure


async def find_failing(
    keys: Sequence[T], decide_on: Callable[[frozenset[T]], Awaitable[object]]
) -> Mapping[T, Exception]:
    """Decide on these users or incidents, in halves; return those that cannot be decided on, each with its error.

    Raises:
        StoreUnavailable: that is no fault of a user or an incident.
    """
    if not keys:
        return {}
    try:
        await decide_on(frozenset(keys))
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the border between users
        if len(keys) == 1:
            return {keys[0]: error}
        half = len(keys) // 2
        return {**await find_failing(keys[:half], decide_on), **await find_failing(keys[half:], decide_on)}
    return {}


def _is_told(outcome: Outcome) -> bool:
    return any(each.told for each in outcome.incidents) or any(each.told for each in outcome.decisions)

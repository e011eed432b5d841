"""Decides on alerts: whenever something new is stored, and as time passes, on one replica at a time.

A decision may depend on other users (a wave is one incident), so it is not taken in a poll's transaction, where it
would hold up other polls, but on what these have committed: in order, exactly once, by whoever has the lease.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core.evaluation import evaluate
from monitor.core.policy_change import apply_policy
from monitor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.availability import Availability
    from monitor.core.evaluation import Outcome
    from monitor.core.policy import Policy
    from monitor.ports import Alerts, Place, Taken

AT_ONCE: Final = 500
LEASE: Final = timedelta(seconds=10)
"""After this another replica decides on what a process took and did not settle."""
JOB: Final = "evaluate"


class Evaluator:
    """Takes dockets and settles them, whenever it is woken."""

    def __init__(
        self,
        *,
        alerts: Alerts,
        policy: Policy,
        sinks: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        """Keep the settings.

        Args:
            alerts: what is decided on, and where decisions are kept.
            policy: what a person decided.
            sinks: names of where people hear of alerts.
            clock: the time of day.
        """
        self._alerts = alerts
        self._policy = policy
        self._sinks = sinks
        self._clock = clock
        self._policy_applied_until: Place | None = None
        self._policy_is_applied = False

    async def apply_policy(self) -> bool:
        """Apply the policy to alerts and incidents that were open before; return whether people are to hear of it.

        A page at a time. Where another replica has alerts in hand, the rest follows at the next call; once all is done,
        a call does nothing.

        Raises:
            StoreUnavailable: the rest follows at the next call.
        """
        told = False
        while not self._policy_is_applied:
            after, now = self._policy_applied_until, self._clock()
            claimed = await self._alerts.claim_open_alerts(
                self._policy, limit=AT_ONCE, after=after, now=now, lease=LEASE
            )
            if claimed is None:
                return told
            taken, following = claimed
            outcome = apply_policy(taken.docket, self._policy, now)
            if not outcome.decisions and not outcome.incidents:
                await self._alerts.release(taken)
            elif not await self._write(taken, outcome):
                return told
            told |= _is_told(outcome)
            self._policy_applied_until, self._policy_is_applied = following, following is None
        return told

    async def decide(self) -> bool:
        """Decide on all there is now; return whether people are to hear of something.

        Raises:
            StoreUnavailable: what was not settled is decided later.
        """
        told, more = False, True
        while more:
            taken = await self._alerts.take(self._policy, limit=AT_ONCE, now=self._clock(), lease=LEASE)
            if taken is None:
                return told
            outcome = await self._settle(taken)
            told |= outcome is not None and _is_told(outcome)
            more = taken.more and outcome is not None
        return told

    async def _settle(self, taken: Taken) -> Outcome | None:
        outcome = evaluate(taken.docket, self._policy, self._clock())
        return outcome if await self._write(taken, outcome) else None

    async def _write(self, taken: Taken, outcome: Outcome) -> bool:
        """Write what was decided; return whether this process still held the lease."""
        try:
            return await self._alerts.settle(taken, outcome, self._policy, sinks=self._sinks)
        except StoreUnavailable:
            await self._alerts.release(taken)
            raise


class EvaluationLoop:
    """Runs an evaluator beside the polls."""

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        availability: Availability,
        log: FilteringBoundLogger,
        on_told: Callable[[], None],
    ) -> None:
        self._evaluator = evaluator
        self._availability = availability
        self._log = log
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
        try:
            told = await self._evaluator.apply_policy()
            if await self._evaluator.decide() or told:
                self._on_told()
            self._availability.answered(JOB)
        except StoreUnavailable as error:
            self._availability.lost(JOB, error)
        except Exception:  # noqa: BLE001 - the job's border: what was not settled is decided at the next tick
            self._log.exception(events.JOB_CRASHED, job=JOB)


def _is_told(outcome: Outcome) -> bool:
    return any(each.told for each in outcome.incidents) or any(each.told for each in outcome.decisions)

"""From answers to what the database holds: many users in one transaction, a few times a second.

1. Remember what is known of users whose answer says something new.
2. Take in what the answers say of their targets, where they say anything unusual.
3. Judge each answer, against its target's state.
4. Commit all verdicts in one transaction; if that fails for an unexpected reason, split until one user stands alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from monitor.core import judge
from monitor.core.judge import CALM, TargetView
from monitor.core.model import Outcome, Presence
from monitor.core.target_health import PollAnswer
from monitor.ports import Poll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from monitor.core.judge import Known, Verdict
    from monitor.poller.fetch import FetchResult
    from monitor.poller.report import Report
    from monitor.poller.target import Target
    from monitor.ports import Metrics, Polls

RECENTLY: Final = 1.5
"""Intervals in which a user counts as recently polled: one, and as much as a poll may be late."""


class Committer:
    """Judges answers, commits them, and reports what was committed."""

    def __init__(
        self,
        *,
        polls: Polls,
        metrics: Metrics,
        report: Report,
        clock: Callable[[], datetime],
    ) -> None:
        self._polls = polls
        self._metrics = metrics
        self._report = report
        self._clock = clock

    async def prepare(self, batch: Sequence[FetchResult]) -> Prepared:
        """Judge ``batch``; nothing is committed but what its answers say of their targets.

        Raises:
            StoreUnavailable: nothing was written; the same batch may be tried again while its leases last.
        """
        known = await self._recall(batch)
        views = await self._assess(batch, known)
        verdicts = [self._judge(result, known.get(result.claim.key), views) for result in batch]
        return Prepared(batch, verdicts, known)

    async def commit(self, prepared: Prepared) -> list[Verdict]:
        """Commit what was prepared and return the verdicts that were written: those whose lease still held.

        Raises:
            StoreUnavailable: nothing was committed; it may be tried again while the leases last.
        """
        begun = time.perf_counter()
        written = await self._polls.commit(prepared.verdicts, now=self._clock())
        self._metrics.committed(time.perf_counter() - begun)
        done = [verdict for verdict in prepared.verdicts if verdict.claim.key in written]
        self._report.committed(done, prepared.known)
        self._measure(prepared.batch, prepared.verdicts)
        return done

    async def _recall(self, batch: Sequence[FetchResult]) -> Mapping[int, Known]:
        claims = [result.claim for result in batch if _needs_state(result)]
        return await self._polls.known(claims) if claims else {}

    async def _assess(self, batch: Sequence[FetchResult], known: Mapping[int, Known]) -> Mapping[str, TargetView]:
        answers: defaultdict[Target, list[PollAnswer]] = defaultdict(list)
        for result in batch:
            answers[result.target].append(_answer(result, known.get(result.claim.key)))
        return {
            target.name: await self._assess_target(target, theirs)
            for target, theirs in answers.items()
            if not target.health.is_calm or any(answer.is_remarkable for answer in theirs)
        }

    async def _assess_target(self, target: Target, answers: Sequence[PollAnswer]) -> TargetView:
        now, pace = self._clock(), target.pace()
        since = now - RECENTLY * target.cadence.interval
        assessed = await self._polls.assess(target.name, answers, since=since, now=now, pace=pace)
        target.note_assessment(pace, assessed, now)
        return TargetView(health=assessed.after.health, recent=assessed.recent)

    def _judge(self, result: FetchResult, known: Known | None, views: Mapping[str, TargetView]) -> Verdict:
        claim, now, cadence = result.claim, result.ended_at, result.target.cadence
        view = views.get(result.target.name, CALM)
        if result.outcome is Outcome.UNCHANGED:
            return judge.unchanged(claim, cadence, now)
        if result.snapshot is not None and result.digest is not None and known is not None:
            return judge.seen(claim, known, result.snapshot, result.digest, cadence, now, view)
        if result.outcome is Outcome.GONE:
            return judge.missing(claim, known, cadence, now, view)
        if result.outcome is Outcome.INVALID:
            return judge.invalid(claim, result.detail or "Junction calls the user id invalid (422)", cadence, now, view)
        return judge.unobserved(
            claim, result.outcome, cadence, now, view, retry_after=result.retry_after, reason=_reason(result)
        )

    def _measure(self, batch: Sequence[FetchResult], verdicts: Sequence[Verdict]) -> None:
        polls: defaultdict[str, list[Poll]] = defaultdict(list)
        for result, verdict in zip(batch, verdicts, strict=True):
            target = result.target.name
            lag = (result.started_at - result.claim.due_at).total_seconds()
            polls[target].append(Poll(verdict.outcome, result.code, result.took, max(0.0, lag)))
            if result.snapshot is not None and result.snapshot.malformed_rows:
                self._metrics.malformed_rows(target, result.snapshot.malformed_rows)
        for target, ended in polls.items():
            self._metrics.polled(target, ended)


class Prepared:
    """Answers that were judged, in the same order as their verdicts, and what was known of their users before."""

    def __init__(self, batch: Sequence[FetchResult], verdicts: Sequence[Verdict], known: Mapping[int, Known]) -> None:
        self.batch = batch
        self.verdicts = verdicts
        self.known = known

    def halves(self) -> tuple[Prepared, Prepared]:
        """Return both halves, so that what fails for one user can be told from the others."""
        middle = len(self.batch) // 2
        return (
            Prepared(self.batch[:middle], self.verdicts[:middle], self.known),
            Prepared(self.batch[middle:], self.verdicts[middle:], self.known),
        )


def _needs_state(result: FetchResult) -> bool:
    if result.outcome is Outcome.GONE:
        return result.claim.presence is Presence.PRESENT and result.claim.missing_since is not None
    return result.snapshot is not None


def _answer(result: FetchResult, known: Known | None) -> PollAnswer:
    claim, snapshot = result.claim, result.snapshot
    missing = judge.missing_rows(known, snapshot) if known is not None and snapshot is not None else frozenset()
    return PollAnswer(
        key=claim.key,
        outcome=result.outcome,
        code=result.code,
        asked_at=result.started_at,
        at=result.ended_at,
        counts=claim.presence is Presence.PRESENT,
        missing=missing,
        is_doubted=bool(claim.doubts),
        retry_after=result.retry_after,
        detail=result.detail,
    )


def _reason(result: FetchResult) -> str:
    said = f"HTTP {result.code}" if result.code.isdigit() else result.code
    return f"{said}: {result.detail}" if result.detail else said

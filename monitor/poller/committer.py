"""From what polls saw to what the database holds: many users in one transaction, a few times a second."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from monitor.core import judge
from monitor.core.model import Outcome
from monitor.ports import Poll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from monitor.core.judge import Known, Verdict
    from monitor.poller.fetch import Seen
    from monitor.poller.report import Report
    from monitor.ports import Metrics, Polls


class Committer:
    """Judges what was seen, commits it, and reports what was committed."""

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

    async def commit(self, batch: Sequence[Seen]) -> list[Verdict]:
        """Commit ``batch`` and return the verdicts that were written: those whose lease still held.

        Raises:
            StoreUnavailable: nothing was committed; the same batch may be tried again while its leases last.
        """
        known = await self._recall(batch)
        verdicts = [self._judge(each, known.get(each.claim.key)) for each in batch]
        begun = time.perf_counter()
        written = await self._polls.commit(verdicts, now=self._clock())
        self._metrics.committed(time.perf_counter() - begun)
        done = [each for each in verdicts if each.claim.key in written]
        self._report.committed(done, known)
        self._measure(batch, verdicts)
        return done

    async def _recall(self, batch: Sequence[Seen]) -> Mapping[int, Known]:
        claims = [each.claim for each in batch if self._says_something_new(each)]
        return await self._polls.known(claims) if claims else {}

    def _says_something_new(self, seen: Seen) -> bool:
        if seen.outcome is Outcome.GONE:
            return judge.confirms(seen.claim, seen.ended_at, trusted=seen.target.health.trusts_absence)
        return seen.snapshot is not None

    def _judge(self, seen: Seen, known: Known | None) -> Verdict:
        claim, now, cadence = seen.claim, seen.ended_at, seen.target.cadence
        if seen.outcome is Outcome.UNCHANGED:
            return judge.unchanged(claim, cadence, now)
        if seen.snapshot is not None and seen.digest is not None and known is not None:
            return judge.seen(claim, known, seen.snapshot, seen.digest, cadence, now)
        if seen.outcome is Outcome.GONE:
            trusted = seen.target.health.trusts_absence
            return judge.missing(claim, known, cadence, now, trusted=trusted)
        if seen.outcome is Outcome.INVALID:
            return judge.invalid(claim, seen.detail or "Junction calls the user id invalid (422)", now)
        return judge.unobserved(claim, seen.outcome, cadence, now)

    def _measure(self, batch: Sequence[Seen], verdicts: Sequence[Verdict]) -> None:
        polls: defaultdict[str, list[Poll]] = defaultdict(list)
        for seen, verdict in zip(batch, verdicts, strict=True):
            target = seen.target.name
            lag = (seen.started_at - seen.claim.due_at).total_seconds()
            polls[target].append(Poll(verdict.outcome, seen.code, seen.took, max(0.0, lag)))
            if seen.snapshot is not None and seen.snapshot.malformed_rows:
                self._metrics.malformed_rows(target, seen.snapshot.malformed_rows)
        for target, theirs in polls.items():
            self._metrics.polled(target, theirs)

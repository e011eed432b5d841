"""What is told after the commit: metrics of a poll and the lines that operators meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import events
from monitor.core.model import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.core.judge import Known, Verdict
    from monitor.core.model import Transition
    from monitor.ports import Metrics


class Report:
    """Consumes verdicts that were committed. ``shown`` says how a user id may stand in a log."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger, shown: Callable[[UUID], str]) -> None:
        self._metrics = metrics
        self._log = log
        self._shown = shown

    def committed(self, verdicts: Sequence[Verdict], known: Mapping[int, Known]) -> None:
        """Tell of verdicts that the database holds; ``known`` is what was remembered before them, by key."""
        newest: dict[str, datetime] = {}
        for each in verdicts:
            target = each.claim.user.target
            if each.observed_at is not None and each.observed_at >= newest.get(target, each.observed_at):
                newest[target] = each.observed_at
            if each.change is not None:
                self._changed(each, known.get(each.claim.key))
        for target, at in newest.items():
            self._metrics.succeeded(target, at)

    def _changed(self, verdict: Verdict, known: Known | None) -> None:
        target = verdict.claim.user.target
        if verdict.outcome is Outcome.INVALID:
            self._log.warning(
                events.USER_INVALID,
                target=target,
                user_id=self._shown(verdict.claim.user.user_id),
                reason=verdict.reason,
            )
        if verdict.change is not None and known is not None:
            for each in verdict.change.transitions:
                self._timed(each, known)

    def _timed(self, each: Transition, known: Known) -> None:
        if each.kind in {Kind.ERRORED, Kind.ERROR_CHANGED} and each.errored_at and not each.baseline:
            self._metrics.detected(each.target, _seconds(each.errored_at, each.observed_at))
        if each.kind is Kind.RECOVERED and each.provider is not None:
            before = known.state.connections[each.provider]
            began = before.errored_at or known.state.since.get(each.provider, each.observed_at)
            self._metrics.recovered(each.target, _seconds(began, each.observed_at))


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())

"""What is told after the commit: metrics of a poll and the lines that operators meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core.incidents import CAUSES
from monitor.core.model import KNOWN_STATUSES, UNSPECIFIED, Kind, Presence
from monitor.core.wording import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.core.judge import Known, Verdict
    from monitor.core.model import Transition
    from monitor.ports import Metrics

KNOWN_ERROR_TYPES: Final = frozenset({*CAUSES, "unknown", UNSPECIFIED})
MOST_WORDS: Final = 100
"""Unknown words that are logged; a vendor, or somebody in its place, may invent any number of them."""


class Report:
    """Consumes verdicts that were committed. ``shown`` says how a user id may stand in a log."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger, shown: Callable[[UUID], str]) -> None:
        self._metrics = metrics
        self._log = log
        self._shown = shown
        self._unknown_words: set[tuple[str, str]] = set()

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
        if verdict.presence is Presence.INVALID:
            self._log.warning(
                events.USER_INVALID,
                target=target,
                user_id=self._shown(verdict.claim.user.user_id),
                reason=verdict.reason,
            )
        if verdict.change is not None and known is not None:
            for each in verdict.change.transitions:
                self._timed(each, known)
                self._look_up(each)

    def _look_up(self, transition: Transition) -> None:
        """Log each word that this program does not know, once; the set of them is bounded."""
        words = {"status": transition.status, "error_type": transition.error_type}
        for kind, word in words.items():
            is_known = word is None or word in (KNOWN_STATUSES if kind == "status" else KNOWN_ERROR_TYPES)
            if not is_known and (kind, word) not in self._unknown_words and len(self._unknown_words) < MOST_WORDS:
                self._unknown_words.add((kind, str(word)))
                provider = clean(transition.provider)
                self._log.warning(
                    events.VOCABULARY_UNKNOWN, kind=kind, word=clean(word), target=transition.target, provider=provider
                )

    def _timed(self, each: Transition, known: Known) -> None:
        if each.kind in {Kind.ERRORED, Kind.ERROR_CHANGED} and each.errored_at and not each.baseline:
            self._metrics.detected(each.target, _seconds(each.errored_at, each.observed_at))
        if each.kind is Kind.RECOVERED and each.provider is not None:
            before = known.state.connections[each.provider]
            began = before.errored_at or known.state.since.get(each.provider, each.observed_at)
            self._metrics.recovered(each.target, _seconds(began, each.observed_at))


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())

"""What one process has exported so far, so that series neither vanish nor fall while it lives.

Rows of the counts come and go: those at zero are pruned, and running totals of providers that are gone move to
``other``. Prometheus would take a counter that falls for a restart, and a gauge that vanishes for no answer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from monitor.core.incidents import CAUSES
from monitor.core.model import CONNECTED, ERROR, UNSPECIFIED, Kind
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Labels = tuple[str, ...]

EXPORTED: Final = 200
"""Distinct values of a label; the rest reads ``other``."""
REMEMBERED: Final = 2000
"""Gauges at zero of one family whose rows are gone; beyond that those that fell to zero first are forgotten."""
OTHER: Final = "other"
KNOWN: Final = frozenset({"", CONNECTED, ERROR, "paused", UNSPECIFIED, *CAUSES, *Kind, *Severity})
"""Words that are exported before all others."""
_WORD: Final = re.compile(r"[a-z0-9_]{1,64}")


class Words:
    """How the values of one label are shown: as sent where they are fit and were among the first 200, else ``other``.

    What a word is shown as never changes. Of those that come together known ones go first, then the most frequent.
    """

    def __init__(self) -> None:
        self._kept: set[str] = set()

    def meet(self, seen: Mapping[str, int]) -> None:
        """Take in words with how often they are there."""
        new = [word for word in seen if word not in self._kept and (not word or _WORD.fullmatch(word))]
        new.sort(key=lambda word: (word not in KNOWN, -seen[word], word))
        self._kept.update(new[: EXPORTED - len(self._kept)])

    def __call__(self, word: str) -> str:
        """Return what a word is shown as."""
        return word if word in self._kept else OTHER


class SeriesMemory:
    """Which words and series were exported."""

    def __init__(self) -> None:
        self._words: defaultdict[tuple[str, int], Words] = defaultdict(Words)
        self._gauges: defaultdict[str, dict[Labels, None]] = defaultdict(dict)
        self._totals: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        self._moved: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        """By family, what of running totals stands in ``other`` now, as their rows were taken away."""

    def relabelled(self, family: str, amounts: Mapping[Labels, int]) -> dict[Labels, float]:
        """Return amounts by labels that are fit to be shown, the target first; those that read the same are summed."""
        places = range(1, max(map(len, amounts), default=1))
        for place in places:
            seen: Counter[str] = Counter()
            for labels, amount in amounts.items():
                seen[labels[place]] += amount
            self._words[family, place].meet(seen)
        shown = [self._words[family, place] for place in places]
        return summed(
            amounts,
            lambda labels: (labels[0], *(words(word) for words, word in zip(shown, labels[1:], strict=True))),
        )

    def gauges(self, family: str, values: Mapping[Labels, float]) -> dict[Labels, float]:
        """Return the values of a family, with 0 for those shown before that are not there any more."""
        shown = self._gauges[family]
        for labels, value in values.items():
            if value or labels not in shown:
                shown.pop(labels, None)
                shown[labels] = None  # at the end: it was last seen now
        gone = [labels for labels in shown if labels not in values]
        for labels in gone[: max(0, len(gone) - REMEMBERED)]:
            del shown[labels]
        return {labels: values.get(labels, 0) for labels in shown} | dict(values)

    def totals(
        self, family: str, values: Mapping[Labels, float], as_other: Callable[[Labels], Labels]
    ) -> dict[Labels, float]:
        """Return the values of a family of running totals, none less than before.

        One whose row was taken away is counted on in the row that ``as_other`` names; there it is left out, as it is
        still shown by itself.
        """
        shown, moved = self._totals[family], self._moved[family]
        moved.update({labels: value for labels, value in shown.items() if labels not in values and value})
        now = dict.fromkeys(shown, 0.0) | dict(values)
        for labels, value in moved.items():
            now[labels] += value
            if (other := as_other(labels)) in values:
                now[other] -= value
        shown.update({labels: max(value, shown.get(labels, 0)) for labels, value in now.items()})
        return dict(shown)


def summed(amounts: Mapping[Labels, float], relabel: Callable[[Labels], Labels]) -> dict[Labels, float]:
    """Return the sums of amounts by what ``relabel`` makes of their labels."""
    sums: dict[Labels, float] = {}
    for labels, amount in amounts.items():
        shown = relabel(labels)
        sums[shown] = sums.get(shown, 0) + amount
    return sums


def known_transitions(targets: Iterable[str], providers: Iterable[tuple[str, str]]) -> dict[Labels, float]:
    """Return zeros for the transitions that can be named before they happen: by target, provider, kind, error type."""
    of_users = ((target, "", kind, "") for target in targets for kind in (Kind.USER_GONE, Kind.USER_RETURNED))
    plain = (Kind.APPEARED, Kind.RECONNECTED, Kind.STATUS_CHANGED, Kind.DISAPPEARED)
    words = [*((kind, "") for kind in plain)]
    words += [(kind, each) for kind in (Kind.ERRORED, Kind.RECOVERED) for each in (*CAUSES, UNSPECIFIED)]
    of_connections = ((*provider, kind, error_type) for provider in providers for kind, error_type in words)
    return dict.fromkeys((*of_users, *of_connections), 0.0)

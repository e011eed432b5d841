"""The counts of the twin: a counter whose rows are bounded as those of a database are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from monitor.core.tally import Key
from monitor.store.vocabulary import as_other, forgotten, placed, unneeded

if TYPE_CHECKING:
    from collections.abc import Mapping


class Counts(Counter[Key]):
    """Amounts by key; what has no row of its own is counted as ``other``."""

    def update(self, amounts: Any = (), /) -> None:  # type: ignore[override]
        """Add amounts."""
        self._move(dict(amounts or {}))

    def subtract(self, amounts: Any = (), /) -> None:
        """Subtract amounts."""
        self._move({key: -amount for key, amount in dict(amounts).items()})

    def prune(self) -> int:
        """Take rows away that nothing needs; return how many."""
        before = len(self)
        for key in unneeded(self):
            del self[key]
        for key, amount in forgotten(self).items():
            del self[key]
            self[as_other(key)] += amount
        return before - len(self)

    def _move(self, amounts: Mapping[Key, int]) -> None:
        wanted = {key: amount for key, amount in amounts.items() if amount}
        if not self.keys() >= wanted.keys():
            wanted = placed(wanted, self)
        for key, amount in wanted.items():
            self[key] += amount

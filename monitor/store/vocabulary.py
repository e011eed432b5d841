"""Which rows the counts have: the vendor's words make rows until there are enough, then they are counted as ``other``.

The rule is the same for adding and subtracting, so that no count is ever subtracted where it was not added:

1. A key that has a row is counted there.
2. A key without one that is added gets a row while its target and count have fewer than ``MOST_ROWS``. After that, only
   where its provider has a row and its other words are known ones.
3. All else is counted in a row whose unknown words read ``other``.
4. Rows that fell to zero are taken away only while nothing of their target and count is counted as ``other``: a key
   that was counted there never gets a row of its own before it is subtracted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from monitor.core.incidents import CAUSES
from monitor.core.model import CONNECTED, ERROR, UNSPECIFIED
from monitor.core.tally import Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.core.tally import Key

MOST_ROWS: Final = 1000
"""Of one target and count, beside those of known words: all that real providers need, and a scrape of milliseconds."""
OTHER: Final = "other"
STATUSES: Final = frozenset({CONNECTED, ERROR, "paused"})
ERROR_TYPES: Final = frozenset({*CAUSES, UNSPECIFIED, ""})

Group = tuple[str, Count]
"""Target and count."""


def group_of(key: Key) -> Group:
    """Return the target and count of a key."""
    return key.target, key.count


def placed(amounts: Mapping[Key, int], rows: Iterable[Key]) -> Counter[Key]:
    """Return in which rows ``amounts`` are counted.

    Args:
        amounts: what to add, by the words as they came.
        rows: all rows of the targets and counts in ``amounts``.
    """
    there: defaultdict[Group, _Rows] = defaultdict(_Rows)
    for row in rows:
        there[group_of(row)].add(row)
    found: Counter[Key] = Counter()
    for key, amount in sorted(amounts.items()):
        group = there[group_of(key)]
        if key in group.keys:
            found[key] += amount
        elif amount > 0 and group.has_room_for(key):
            group.add(key)
            found[key] += amount
        else:
            found[as_other(key)] += amount
    return found


def as_other(key: Key) -> Key:
    """Return the row in which a key is counted that has none of its own; users have but our own words."""
    if key.count is Count.USERS:
        return key
    b, c = key.b, key.c
    if key.count is Count.CONNECTIONS:
        b = b if b in STATUSES else OTHER
    elif key.count in {Count.RESOURCES_UNAVAILABLE, Count.INCIDENTS}:
        b = OTHER
    return replace(key, a=key.a and OTHER, b=b, c=c and OTHER)


def is_other(key: Key) -> bool:
    """Whether a row is one for words that have none of their own."""
    return key.count is not Count.USERS and OTHER in {key.a, key.b, key.c}


def unneeded(rows: Mapping[Key, int]) -> list[Key]:
    """Return the rows that may be taken away: at zero, of targets and counts that count nothing as ``other``."""
    full = {group_of(key) for key, amount in rows.items() if amount and is_other(key)}
    return [
        key
        for key, amount in rows.items()
        if not amount and key.count is not Count.TRANSITIONS and group_of(key) not in full
    ]


def forgotten(rows: Mapping[Key, int]) -> Counter[Key]:
    """Return the running totals that may move to ``other``, as there are many and their providers are no longer there.

    They are only ever added to, so that they can move at any time.
    """
    totals: defaultdict[str, list[Key]] = defaultdict(list)
    for key in rows:
        if key.count is Count.TRANSITIONS:
            totals[key.target].append(key)
    providers = {(key.target, key.a) for key in rows if key.count is Count.CONNECTIONS}
    return Counter(
        {
            key: rows[key]
            for target, keys in totals.items()
            if len(keys) > MOST_ROWS // 2
            for key in keys
            if key.a not in {"", OTHER} and (target, key.a) not in providers
        }
    )


@dataclass(slots=True)
class _Rows:
    """The rows of one target and count."""

    keys: set[Key] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)

    def add(self, key: Key) -> None:
        """Take in a row."""
        self.keys.add(key)
        self.providers.add(key.a)

    def has_room_for(self, key: Key) -> bool:
        """Whether a key that has no row may get one."""
        if key.count is Count.USERS or len(self.keys) < MOST_ROWS:
            return True
        return key.a in self.providers and _is_known(key)


def _is_known(key: Key) -> bool:
    if key.count is Count.CONNECTIONS:
        return key.b in STATUSES and key.c in ERROR_TYPES
    if key.count is Count.INCIDENTS:
        return key.b in ERROR_TYPES
    return key.count is not Count.RESOURCES_UNAVAILABLE and key.c in ERROR_TYPES

"""What must have been found out about one user: the rules of the contract, told as plainly as they can be."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core.model import Outcome, Presence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.ports import Answer

SECOND_404_AFTER: Final = timedelta(seconds=60)


@dataclass
class Belief:
    """The connections that a user has by all that was answered, and how often each kind of transition was due."""

    rows: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None
    is_sure: bool = True
    """Whether ``missing_since`` is known; not where the process died that may have written it."""

    def hears(self, answer: Answer, now: datetime, *, declares_gone: bool) -> None:
        """Take in one answer; ``declares_gone`` is what was made of a 404 that may do so."""
        if answer.outcome is Outcome.GONE:
            self._misses(now, declares_gone=declares_gone)
        elif answer.outcome is Outcome.INVALID:
            self.presence = Presence.INVALID
        elif answer.outcome is None and (rows := _read(answer)) is not None:
            self._sees(rows)

    def may_go(self, now: datetime) -> bool:
        """Return whether another 404 at ``now`` is the second one."""
        there = self.presence is not Presence.GONE
        return there and self.missing_since is not None and now - self.missing_since >= SECOND_404_AFTER

    def _misses(self, now: datetime, *, declares_gone: bool) -> None:
        if declares_gone:
            self.kinds["user_gone"] += 1
            self.rows, self.presence = {}, Presence.GONE
        else:
            self.missing_since = min(now, self.missing_since or now)
            self.is_sure = True

    def _sees(self, rows: dict[str, str]) -> None:
        if self.presence is Presence.GONE:
            self.kinds["user_returned"] += 1
        for provider in self.rows.keys() | rows.keys():
            kind = _kind(self.rows.get(provider), rows.get(provider))
            self.kinds.update([kind] if kind else [])
        self.rows, self.presence, self.missing_since, self.is_sure = rows, Presence.PRESENT, None, True


def _kind(before: str | None, after: str | None) -> str | None:
    if before == after:
        return None
    if after is None:
        return "disappeared"
    if after == "error":
        return "errored"
    if before is None:
        return "appeared"
    return "recovered" if (before, after) == ("error", "connected") else "status_changed"


def _read(answer: Answer) -> dict[str, str] | None:
    try:
        found: Mapping[str, str] = json.loads(answer.body)
    except ValueError:
        return None
    return dict(found)

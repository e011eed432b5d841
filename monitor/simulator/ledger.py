"""The list of every change that was made: the truth that a monitor is held against."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from monitor.simulator.words import Do, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change as an observer could see it.

    ``sequence`` counts from 1. ``do`` is what was done, ``kind`` what it looks like. Status and error fields of a
    resource's change are those of its row, before and after alike. ``provider`` is None for a change of the user.
    """

    sequence: int
    at: datetime
    user_id: str
    provider: str | None
    do: Do
    kind: Kind
    resource: str | None = None
    previous_status: str | None = None
    status: str | None = None
    previous_error_type: str | None = None
    error_type: str | None = None
    previous_errored_at: datetime | None = None
    errored_at: datetime | None = None

    def to_json(self) -> str:
        """Return one line of JSON, times as RFC 3339 with ``Z``."""
        return json.dumps(asdict(self), default=rfc3339, separators=(",", ":"))


def rfc3339(moment: datetime) -> str:
    """Write an aware UTC time."""
    return moment.isoformat().removesuffix("+00:00") + "Z"


class Ledger:
    """All changes, oldest first; whoever listens hears each one when it is written."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._listeners: list[Callable[[Change], None]] = []

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` with every change from now on."""
        self._listeners.append(listener)

    def write(self, change: Change) -> None:
        """Append ``change``, whose sequence must be the next one."""
        if change.sequence != len(self._changes) + 1:
            raise ValueError(f"change {change.sequence} cannot follow change {len(self._changes)}")
        self._changes.append(change)
        for listener in self._listeners:
            listener(change)

    def after(self, sequence: int = 0, limit: int | None = None) -> tuple[Change, ...]:
        """Return at most ``limit`` changes that came after ``sequence``."""
        end = None if limit is None else sequence + limit
        return tuple(self._changes[sequence:end])

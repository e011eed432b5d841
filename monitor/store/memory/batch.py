"""What one commit writes: gathered verdict by verdict, then applied at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.core.model import Kind, Presence
from monitor.ports import PastSnapshot
from monitor.store.memory.tables import Held
from monitor.store.words import storable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core import tally
    from monitor.core.judge import Change, Verdict
    from monitor.core.model import Connection, Transition
    from monitor.store.memory.tables import Row, Tables


class Batch:
    """The verdicts of one commit whose leases hold. Nothing is stored before :meth:`apply`."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._transitions: list[tuple[int, Transition]] = []
        self._counts: Counter[tally.Key] = Counter()

    def add(self, row: Row, verdict: Verdict) -> None:
        """Take in what ``verdict`` makes of ``row``."""
        change = storable(verdict.change)
        polled = replace(
            row,
            next_poll_at=verdict.next_poll_at,
            presence=verdict.presence,
            reason=storable(verdict.reason),
            observed_at=verdict.observed_at or row.observed_at,
            missing_since=verdict.missing_since,
            digest=verdict.digest,
            failures=verdict.failures,
            outcome=None if verdict.failed_at is None else verdict.outcome.value,
            failed_at=verdict.failed_at,
            doubts=verdict.doubts,
            lease=None,
            leased_until=None,
        )
        self._rows.append(polled if change is None else _moved(row, polled, change))
        self._counts.update(storable(verdict.counts))
        if change is not None:
            self._transitions.extend((row.key, each) for each in change.transitions)

    def apply(self, tables: Tables) -> frozenset[int]:
        """Store it all, and return the keys of the users for which something was stored."""
        tables.put(self._rows)
        for key, transition in self._transitions:
            tables.record(key, transition)
        tables.counts.update(self._counts)
        return frozenset(each.key for each in self._rows)


def _moved(before: Row, after: Row, change: Change) -> Row:
    """Return the row with its connections and snapshots after ``change``, where that moves them."""
    if change.connections is None:
        return after
    at = _time(after, change)
    return replace(
        after,
        connections=_held(before.connections, change.connections, at),
        snapshots=(*closed(before), _opened(change.connections, at, gone=after.presence is Presence.GONE)),
    )


def closed(row: Row) -> tuple[PastSnapshot, ...]:
    """Return the row's snapshots, the end of the open one set to the user's last good poll."""
    if not row.snapshots:
        return ()
    *past, newest = row.snapshots
    last = max(newest.first_observed_at, row.observed_at or newest.first_observed_at)
    return (*past, replace(newest, last_observed_at=last))


def _opened(connections: Mapping[str, Connection], at: datetime, *, gone: bool) -> PastSnapshot:
    rows = tuple(each for _, each in sorted(connections.items()))
    return PastSnapshot(first_observed_at=at, last_observed_at=at, gone=gone, connections=rows)


def _time(row: Row, change: Change) -> datetime:
    """A user that is declared gone was not observed: the time of its going is that of the transition."""
    gone = next((each for each in change.transitions if each.kind is Kind.USER_GONE), None)
    at = gone.observed_at if gone else row.observed_at
    if at is None:
        message = "a change of connections has no time"
        raise ValueError(message)
    return at


def _held(before: Mapping[str, Held], after: Mapping[str, Connection], at: datetime) -> dict[str, Held]:
    return {name: _hold(before.get(name), each, at) for name, each in sorted(after.items())}


def _hold(before: Held | None, connection: Connection, at: datetime) -> Held:
    if before is None:
        return Held(connection=connection, since=at, first_seen_at=at)
    since = before.since if before.connection.status == connection.status else at
    return Held(connection=connection, since=since, first_seen_at=before.first_seen_at)

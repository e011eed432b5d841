"""What the twin holds: one row for each user with all that is its own, and what users share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.model import Intent, Presence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any
    from uuid import UUID

    from monitor.core.alerting import Alert
    from monitor.core.budget import Budget
    from monitor.core.model import Connection, Transition, User
    from monitor.ports import PastSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One current connection, since when it has its status, and when it was first seen."""

    connection: Connection
    since: datetime
    first_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One user. ``snapshots`` are in the order of their commits; the last one is open, its end moves with the user."""

    key: int
    user: User
    client_user_id: str | None
    registered_at: datetime
    next_poll_at: datetime
    intent: Intent = Intent.ACTIVE
    presence: Presence = Presence.PRESENT
    reason: str | None = None
    observed_at: datetime | None = None
    missing_since: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    lease: int | None = None
    leased_until: datetime | None = None
    connections: Mapping[str, Held] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    snapshots: tuple[PastSnapshot, ...] = ()

    @property
    def pollable(self) -> bool:
        """Whether the user is asked for at all."""
        return self.intent is Intent.ACTIVE and self.presence is not Presence.INVALID

    def free(self, now: datetime) -> bool:
        """Whether no live lease stands on the user."""
        return self.leased_until is None or self.leased_until <= now

    def counts(self) -> Counter[tally.Key]:
        """Count the user and its connections; a removed one counts for nothing."""
        if self.intent is Intent.REMOVED:
            return Counter()
        held = [each.connection for each in self.connections.values()]
        target = self.user.target
        return tally.of_connections(target, held) + tally.of_user(target, self.intent, self.presence)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """One notice of the outbox and the user that it is about."""

    key: int
    payload: Mapping[str, Any]
    lease: int | None = None
    leased_until: datetime | None = None
    written_at: datetime | None = None


class Tables:
    """Everything that is stored. Zero counts are kept, keys and leases are never used again."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[int, Row] = {}
        self.keys: dict[User, int] = {}
        self.transitions: dict[UUID, tuple[int, Transition]] = {}
        self.ordinals: dict[UUID, int] = {}
        self.notices: dict[int, Waiting] = {}
        self.counts: Counter[tally.Key] = Counter()
        self.budgets: dict[str, Budget] = {}
        self.reported: dict[str, tuple[int | None, datetime]] = {}
        self._last = 0

    def number(self) -> int:
        """Return a number that was never given out before."""
        self._last += 1
        return self._last

    def put(self, rows: Iterable[Row]) -> None:
        """Store these rows in place of what they were before."""
        for each in rows:
            self.rows[each.key] = each
            self.keys[each.user] = each.key

    def tell(self, key: int, payload: Mapping[str, Any]) -> None:
        """Add a notice to the outbox."""
        self.notices[self.number()] = Waiting(key=key, payload=payload)

    def of_target(self, target: str) -> list[Row]:
        """Return the rows of a target, removed ones included, in the order of their registration."""
        return [each for each in self.rows.values() if each.user.target == target]

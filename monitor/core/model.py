"""The words of the domain as values.

A *target* is one Junction team; a *user* is a member of its cohort; a *connection* is (target, user, provider);
a *snapshot* is what one poll of one user saw; a *transition* is one difference between two successive snapshots.
All times are aware and UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

ERROR: Final = "error"
CONNECTED: Final = "connected"
PAUSED: Final = "paused"
KNOWN_STATUSES: Final = frozenset({CONNECTED, ERROR, PAUSED})
"""The statuses that the vendor documents; what any other one means is not known."""
UNKNOWN_STATUS: Final = "unknown_status"
"""Groups alerts about unknown statuses, where an error has its error type."""
AVAILABLE: Final = "available"
UNSPECIFIED: Final = "unspecified"
"""Stands where the vendor gave no error type."""
EARLIEST_VENDOR_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_VENDOR_TIME: Final = datetime(2200, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Both are inside. A date of the vendor's outside them is a placeholder or damaged, and sums with it may overflow."""


def plausible_time(time: datetime | None) -> datetime | None:
    """Return a date of the vendor's, None where it is outside the years 1970 to 2200 (contract, section 5)."""
    return time if time is not None and EARLIEST_VENDOR_TIME <= time <= LATEST_VENDOR_TIME else None


class Kind(StrEnum):
    """What a transition says. The vendor's sets are open; this one is ours and closed."""

    APPEARED = "appeared"
    ERRORED = "errored"
    ERROR_CHANGED = "error_changed"
    RECOVERED = "recovered"
    RECONNECTED = "reconnected"
    STATUS_CHANGED = "status_changed"
    DISAPPEARED = "disappeared"
    RESOURCE_LOST = "resource_lost"
    RESOURCE_RESTORED = "resource_restored"
    USER_GONE = "user_gone"
    USER_RETURNED = "user_returned"


class Outcome(StrEnum):
    """How one poll ended."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"
    INVALID = "invalid"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"


OBSERVED: Final = frozenset({Outcome.UNCHANGED, Outcome.CHANGED})
"""The outcomes that saw the user's connections. All others change no connection, ever."""


class Intent(StrEnum):
    """What a person decided about a user; nothing that is observed ever changes it."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class Presence(StrEnum):
    """What was observed about a user, apart from what a person decided."""

    PRESENT = "present"
    GONE = "gone"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One registered member of a target's cohort."""

    target: str
    user_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One row of an answer, the vendor's words kept as sent.

    ``resources`` maps a resource to its availability word. A resource that a row does not mention was not
    observed. ``error_type``, ``error_message`` and ``errored_at`` are None outside ``error``.
    """

    provider: str
    status: str
    created_on: datetime | None = None
    error_type: str | None = None
    error_message: str | None = None
    errored_at: datetime | None = None
    external_user_id: str | None = None
    resources: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_error(self) -> bool:
        """Whether the vendor has given this connection up until the user re-links."""
        return self.status == ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one poll of one user saw.

    ``complete`` is false where rows could not be read: then the absence of a provider says nothing.
    ``malformed_rows`` counts those rows.
    """

    connections: Mapping[str, Connection]
    complete: bool = True
    malformed_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserState:
    """All that is known of one user when a poll's answer comes in.

    ``observed_at`` is the time of the last good snapshot, None before the first.
    ``since`` tells for each connection since when it has had its status.
    ``missing_since`` is the time of the first 404 in a row, of a gone user that of ``user_gone``, else None.
    """

    user: User
    connections: Mapping[str, Connection] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    observed_at: datetime | None = None
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One difference between two successive snapshots of one user; field for field the public JSON.

    ``id`` is derived from what the transition says, so the same pair of snapshots gives the same id.
    """

    id: UUID
    target: str
    user_id: UUID
    provider: str | None
    kind: Kind
    resource: str | None = None
    previous_status: str | None = None
    status: str | None = None
    previous_error_type: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    errored_at: datetime | None = None
    previous_observed_at: datetime | None
    observed_at: datetime
    baseline: bool = False

    @property
    def repeats_error(self) -> bool:
        """Whether the connection is in the same error as before: only ``errored_at`` is another one."""
        same = (self.error_type or UNSPECIFIED) == (self.previous_error_type or UNSPECIFIED)
        return self.kind is Kind.ERROR_CHANGED and same

    @property
    def user(self) -> User:
        """Whose it is."""
        return User(target=self.target, user_id=self.user_id)


def is_unknown_status(status: str | None) -> bool:
    """Return whether a status is a word that the vendor does not document; None, no connection, is not."""
    return status is not None and status not in KNOWN_STATUSES

"""One target's API: what is asked of it, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.model import Outcome, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back of one request.

    ``outcome`` is None for a 200 whose ``body`` is to be read, else what the answer means by itself. ``code`` is
    the label of ``junction_monitor_requests_total``: the HTTP status, or ``timeout``, ``connect``, ``tls``.
    ``retry_after`` is what a 429 or 503 asked for. ``detail`` is a short text for a person, free of secrets.
    """

    outcome: Outcome | None
    code: str
    body: bytes = b""
    retry_after: timedelta | None = None
    detail: str | None = None

    @property
    def answered(self) -> bool:
        """Whether any HTTP answer came."""
        return self.code.isdigit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUser:
    """One user as the target's own list has it; ``created_on`` is when Junction made it, None where not known."""

    user_id: UUID
    client_user_id: str | None
    created_on: datetime | None = None


class Junction(Protocol):
    """One target's API. No method raises for what the network or the vendor does; faults are values."""

    async def connections(self, user_id: UUID) -> Answer:
        """Ask for one user's connections. One attempt, bounded by ``poll.timeout`` from start to last byte."""
        ...

    def read(self, body: bytes) -> Snapshot | None:
        """Return what the body of a 200 shows, None where it is malformed as a whole."""
        ...

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Ask for one page of the target's user list; anything but a page is the answer that came instead."""
        ...

    async def errored_connections(self) -> int | None:
        """Ask for the vendor's own total of errored connections, None where it cannot be had."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """One page of the user list, and the total that the vendor states."""

    users: tuple[ListedUser, ...]
    total: int
    malformed_rows: int = 0

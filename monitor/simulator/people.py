"""Users and their connections as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor.simulator.words import ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.simulator.catalogue import Provider

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The vendor's ``error_details``."""

    error_type: str
    message: str
    errored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One row of a user.

    ``failure`` may be None although ``status`` is ``error``. ``denied`` holds the scopes that the user withdrew.
    ``zulu`` and ``fractions`` are how this row's times are written.
    """

    provider: Provider
    status: str
    created_on: datetime
    external_user_id: str | None = None
    failure: Failure | None = None
    denied: frozenset[str] = frozenset()
    zulu: bool = False
    fractions: bool = False

    @property
    def in_error(self) -> bool:
        """Whether the vendor has given this row up."""
        return self.status == ERROR

    @property
    def unavailable(self) -> tuple[str, ...]:
        """The resources that lack a required scope."""
        return tuple(each.name for each in self.provider.resources if not self.denied.isdisjoint(each.required))

    def stamp(self, now: datetime, before: datetime | None) -> datetime:
        """Return ``now`` as this row writes it, always later than ``before``: a new time must show as new."""
        stamped = now if self.fractions else now.replace(microsecond=0)
        if before is None or stamped > before:
            return stamped
        return max(now, before + _TICK)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One registered user; ``absent`` remembers the rows that vanished, so that they can come back."""

    index: int
    user_id: str
    client_user_id: str
    created_on: datetime
    connections: Mapping[str, Connection]
    absent: Mapping[str, Connection] = field(default_factory=dict)
    deleted: bool = False

    @property
    def errored(self) -> int:
        """How many rows are in error."""
        return sum(row.in_error for row in self.connections.values())

"""What alert decisions are taken on, where they are kept, and how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.alerting import Alert
    from monitor.core.evaluation import Docket, Outcome
    from monitor.core.incidents import Incident
    from monitor.core.model import User
    from monitor.core.policy import Policy, Severity
    from monitor.ports.outbox import Place


Registration = tuple[int, "datetime"]
"""A user's key, and when it was registered; SQLite may give the key again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A docket under a lease; ``more`` says that others are left for the next one.

    ``members`` are the users in it: who was erased and registered again meanwhile is somebody else.
    """

    docket: Docket
    lease: int
    more: bool
    members: Mapping[User, Registration]


class Alerts(Protocol):
    """The decisions on alerts: taken by one replica at a time, each committed with all that follows from it."""

    async def take(self, policy: Policy, *, limit: int, now: datetime, lease: timedelta) -> Taken | None:
        """Take what is to be decided at ``now``, None where there is nothing or another replica has it in hand.

        ``limit`` bounds the new transitions, and again the alerts whose time has come. ``policy`` says how far back
        the docket reaches.
        """
        ...

    async def claim_open_alerts(
        self, policy: Policy, *, limit: int, after: Place | None, now: datetime, lease: timedelta
    ) -> tuple[Taken, Place | None] | None:
        """Take the next ``limit`` open alerts, and where the next page begins, None after the last one.

        With the first page come all open incidents. None where another replica has alerts in hand. It is settled or
        released like what :meth:`take` returns.
        """
        ...

    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, *, sinks: Collection[str]) -> bool:
        """Write everything that was decided, in one transaction with what it was decided on; the lease ends.

        False where the lease had passed: then nothing was written, and somebody else decides. What was decided on
        users that were erased meanwhile is left out. A firing is queued for each of ``sinks``, an end for the sinks
        that have the firing, whether they are among ``sinks`` or not.
        """
        ...

    async def release(self, taken: Taken) -> None:
        """Give back what was taken and could not be settled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert as it is kept: why it fired, None before, and why it is in its state."""

    alert: Alert
    fired_reason: str | None
    reason: str
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """One incident as it is kept. ``broken`` counts its members' alerts that are not over."""

    incident: Incident
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts are wanted; None means any. ``since`` keeps those that are open or ended at or after it."""

    target: str | None = None
    user_id: UUID | None = None
    provider: str | None = None
    severity: Severity | None = None
    only_open: bool = False
    since: datetime | None = None

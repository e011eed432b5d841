"""What was decided and is to be told: the outbox, and the sinks that it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.core.alerting import AlertState

LONGEST_RETRY: Final = timedelta(hours=1)
"""No notification waits longer for its next attempt."""
Place = tuple[int, str, str]
"""How far a walk through the alerts that fire has come: member, provider, resource."""


class Done(StrEnum):
    """How a notice was done with."""

    DELIVERED = "delivered"
    ROLLED_UP = "rolled_up"
    GAVE_UP = "gave_up"


class Reception(StrEnum):
    """What a sink did with a notice, from good to bad; refused, failed and unreachable ones are to be tried again.

    ``refused`` is a verdict on this one notice. ``failed`` is trouble of the sink, though perhaps with this notice
    alone: no answer in time, 429, 5xx. ``unreachable`` says nothing of the notice: it never got there. ``gone`` (410)
    says that nothing will be accepted there any more.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    GONE = "gone"


ANSWERED: Final = frozenset({Reception.DELIVERED, Reception.REFUSED})
"""By these a sink is known to work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one notice. ``reason`` is fit for a log; ``detail``, the sink's own words, is not.

    ``retry_after`` is how long nothing is to be sent to the sink, where it asked for that or is gone.
    """

    reception: Reception
    reason: str | None = None
    detail: str | None = None
    status: int | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One step in an alert's life that is to be told to one sink at least once; ``payload`` is what is told.

    ``updates`` numbers what is told of an alert in the same state. Two are equal that are the same notice, whoever has
    it in hand and however often it was tried.
    """

    id: int
    lease: int = field(compare=False)
    event: str
    alert_id: UUID
    state: str
    updates: int
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One alert or incident that fires now, with what a sink was last told of its firing.

    ``severity`` is what the severity has become without a notification; None where it is that of the payload, or
    where an incident speaks for the alert.
    """

    event: str
    alert_id: UUID
    payload: Mapping[str, Any]
    severity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """Some of what fires now, and where the next page begins; None after the last one."""

    alerts: Sequence[Standing]
    after: Place | None


class Outbox(Protocol):
    """What was decided and is to be told: a queue for each sink."""

    async def claim(
        self, sink: str, *, limit: int, now: datetime, lease: timedelta, incidents_only: bool = False
    ) -> list[Notice]:
        """Take notices that wait for a sink and are due, oldest first, under a lease: no two replicas tell the same.

        Of each alert only the earliest that waits, so that its life is told in order: a notice that somebody has in
        hand, or that is to be tried again later, holds back those that come after it. Of what is tried again at most
        half of ``limit``, so that it crowds out nothing new.
        """
        ...

    async def settle(self, notices: Sequence[Notice], done: Done, *, now: datetime) -> None:
        """Be done with notices that are still held under their lease; others stay as they are."""
        ...

    async def retry(self, notices: Sequence[Notice], error: str | None, *, at: datetime) -> None:
        """Give back notices that were tried in vain: they are due again ``at``, and one attempt more was made."""
        ...

    async def release(self, notices: Sequence[Notice]) -> None:
        """Give back notices that were not tried; they wait as before."""
        ...

    async def undelivered(self) -> Mapping[str, int]:
        """Return how many notices wait, by sink; a sink that none waits for may be left out."""
        ...

    async def sent_since(self, sink: str, since: datetime) -> int:
        """Return how many notices a sink other than the log was told one by one in the minute from ``since`` on."""
        ...

    async def firing(self, sink: str, *, limit: int, after: Place | None = None) -> Firing:
        """Return the next ``limit`` alerts that fire now and that a sink is done with being told of.

        With the first page come all open incidents.
        """
        ...

    async def told(self, sink: str, alert_ids: Collection[UUID], state: AlertState) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what a sink was last told, or given up to be told, of these alerts in this state, where it was."""
        ...


class Sink(Protocol):
    """Where notices are told. Nothing that the network or the other side does is raised."""

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Tell notices, no two of them of one alert, and return what became of each, in their order."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class SummarySink(Sink, Protocol):
    """A sink that can be told many notices in one."""

    async def summarise(self, notices: Sequence[Notice]) -> Receipt:
        """Tell how many notices there are, of which kinds, and of whom, in one message."""
        ...

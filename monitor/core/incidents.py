"""Many users, one cause: when a wave of like errors is one incident, how it grows, and when it is over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID, uuid5

from monitor.core.alerting import AlertState
from monitor.core.clock_steps import is_due
from monitor.core.model import UNKNOWN_STATUS, UNSPECIFIED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from monitor.core.alerting import Alert
    from monitor.core.policy import IncidentRule, Severity

NAMESPACE: Final = UUID("0c9e7f0e-3b5f-5b0c-9a53-9d5a0e8a7c11")
USUAL_OVER: Final = timedelta(days=7)
TIMES_USUAL: Final = 3
DEVIATIONS: Final = 5
SUSPICIOUS: Final = 2
"""So many like errors in a window are worth a little patience."""
PLATFORM: Final = 3
"""So many providers that break in one way at once point to Junction, not to a provider."""


class Cause(StrEnum):
    """Where a fault lies, as far as its error tells."""

    MONITOR = "monitor"
    JUNCTION = "junction"
    PROVIDER = "provider"
    USER = "user"
    UNKNOWN = "unknown"


CAUSES: Final[Mapping[str, Cause]] = {
    "token_refresh_failed": Cause.USER,
    "webhook_registration_failed": Cause.JUNCTION,
    "user_not_found": Cause.USER,
    "deregistered_per_provider": Cause.USER,
    "required_scopes_not_granted": Cause.USER,
    "provider_credential_error": Cause.USER,
    "provider_password_expired": Cause.USER,
    UNKNOWN_STATUS: Cause.JUNCTION,
}
"""Of a single connection; a wave lies with the provider or with Junction, since users do not act in concert."""


class WaveKey(NamedTuple):
    """What the members of a wave have in common."""

    target: str
    provider: str
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What is known of like errors now.

    Attributes:
        users: with an error confirmed within the window that lasts and belongs to no incident.
        since: when the first of them broke, None without any.
        connections: that the target has at this provider.
        usual: alerts of this kind in such a window, on the average of the last days, incidents left out.
    """

    users: frozenset[UUID] = frozenset()
    since: datetime | None = None
    connections: int = 0
    usual: float = 0.0

    def joined(self, alert: Alert) -> Wave:
        """Return the wave with one more alert in it."""
        since = alert.began_at if self.since is None else min(self.since, alert.began_at)
        return replace(self, users=self.users | {alert.user.user_id}, since=since)

    @property
    def share(self) -> float:
        """Users hit, of the provider's connections; between 0 and 1."""
        return min(1.0, len(self.users) / self.connections) if self.connections else 1.0

    @property
    def unusual(self) -> bool:
        """Whether there are clearly more than at other times."""
        spread = self.usual + DEVIATIONS * math.sqrt(self.usual)
        return len(self.users) >= max(TIMES_USUAL * self.usual, spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One wave as one alert.

    Attributes:
        users: that it hit so far; ``told_users`` those that people know of.
        share: of the provider's connections.
        broken: alerts of its members that are not over.
        joined_at: when the last member joined.
        updates: how often it was told again because it grew.
    """

    id: UUID
    key: WaveKey
    severity: Severity
    cause: Cause
    state: AlertState
    since: datetime
    opened_at: datetime
    users: int
    share: float
    told_users: int
    broken: int
    joined_at: datetime
    updates: int = 0
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDecision:
    """One step in an incident's life; ``previous_severity`` is set where it is a change of the severity."""

    incident: Incident
    was: AlertState | None
    decided_at: datetime
    reason: str
    previous_severity: Severity | None = None

    @property
    def told(self) -> bool:
        """Whether people hear of the step: of all but a lower severity."""
        return self.previous_severity is None or self.incident.severity.is_higher_than(self.previous_severity)


def key_of(alert: Alert) -> WaveKey:
    """Return what an alert has in common with others like it."""
    return WaveKey(alert.user.target, alert.slot.provider, alert.error_type or UNSPECIFIED)


def cause_of(error_type: str | None) -> Cause:
    """Return where the fault of a single connection lies."""
    return CAUSES.get(error_type or UNSPECIFIED, Cause.UNKNOWN)


def past_windows(rule: IncidentRule) -> float:
    """Return how many windows there are in the days that tell what is usual, the present one left out."""
    return max(1.0, (USUAL_OVER - rule.within) / rule.within)


def worth_comparing(rule: IncidentRule, alerts: int) -> bool:
    """Return whether so many like alerts may be suspicious, so that what is usual matters."""
    return alerts >= min(SUSPICIOUS, rule.min_users)


def possible(rule: IncidentRule | None, wave: Wave) -> bool:
    """Return whether the provider has as many connections as an incident takes."""
    return rule is not None and wave.connections >= rule.min_users


def breaks(rule: IncidentRule, wave: Wave) -> bool:
    """Return whether a wave is an incident."""
    return len(wave.users) >= rule.min_users and wave.share >= rule.min_share and wave.unusual


def suspicious(rule: IncidentRule, wave: Wave) -> bool:
    """Return whether a wave may become one."""
    return worth_comparing(rule, len(wave.users)) and wave.unusual


def opened(
    key: WaveKey, wave: Wave, severity: Severity, first: Alert, others: Collection[WaveKey], now: datetime
) -> IncidentDecision:
    """Open an incident.

    Args:
        key: what its members have in common.
        wave: its members.
        severity: of a single member; the incident is one step louder.
        first: any of its alerts; the incident's id is derived from it.
        others: keys of the incidents that are open.
        now: when it is decided.
    """
    also = {each.provider for each in others if (each.target, each.error_type) == (key.target, key.error_type)}
    platform = cause_of(key.error_type) is Cause.JUNCTION or len(also | {key.provider}) >= PLATFORM
    incident = Incident(
        id=uuid5(NAMESPACE, str(first.id)),
        key=key,
        severity=severity.louder,
        cause=Cause.JUNCTION if platform else Cause.PROVIDER,
        state=AlertState.FIRING,
        since=wave.since or now,
        opened_at=now,
        users=len(wave.users),
        share=wave.share,
        told_users=len(wave.users),
        broken=len(wave.users),
        joined_at=now,
    )
    usual = f"usual are {wave.usual:.2g}"
    reason = f"{len(wave.users)} users of {wave.connections} connections within the window, {usual}"
    return IncidentDecision(incident=incident, was=None, decided_at=now, reason=reason)


def lived(rule: IncidentRule | None, incident: Incident, now: datetime) -> IncidentDecision | None:
    """Return the next step of an open incident, None where nothing is new to people or to the figures."""
    end = _end(rule, incident, now)
    if end is not None:
        over = replace(incident, state=AlertState.RESOLVED, resolved_at=now)
        return IncidentDecision(incident=over, was=incident.state, decided_at=now, reason=end)
    if incident.users >= 2 * incident.told_users:
        told = replace(incident, told_users=incident.users, updates=incident.updates + 1)
        reason = f"it grew from {incident.told_users} to {incident.users} users"
        return IncidentDecision(incident=told, was=incident.state, decided_at=now, reason=reason)
    return None


def _end(rule: IncidentRule | None, incident: Incident, now: datetime) -> str | None:
    if not incident.broken:
        return "all of its members have healed"
    if rule is None:
        return "incidents are switched off"
    if is_due(incident.joined_at + rule.within, now, rule.within):
        left = f"{incident.broken} of its members are in error still"
        return f"nobody joined for {_shown(rule.within)}; {left}"
    return None


def _shown(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"  # noqa: PLR2004 - a minute

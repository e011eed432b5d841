"""What a person decided about alerts: how loud, how sure, how patient. Values only; see the README for the keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.core.model import ERROR, UNSPECIFIED, is_unknown_status

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY: Final = "any"
"""Among a provider's severities, every error type that it does not name."""
HOLD_PART: Final = 15


class Severity(StrEnum):
    """How loud an alert is; ``none`` says that it is not raised."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    NONE = "none"

    @property
    def louder(self) -> Severity:
        """How loud a wave of such alerts is."""
        return {Severity.INFO: Severity.WARNING, Severity.NONE: Severity.NONE}.get(self, Severity.CRITICAL)

    def is_higher_than(self, other: Severity) -> bool:
        """Return whether this one asks for more attention than ``other``."""
        order = (Severity.NONE, Severity.INFO, Severity.WARNING, Severity.CRITICAL)
        return order.index(self) > order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """More than ``transitions`` of one connection within ``within`` make it unstable, until it is quiet for as long."""

    transitions: int = 4
    within: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRule:
    """A wave of ``min_users`` users and ``min_share`` of a provider's connections within ``within`` is an incident.

    ``hold`` is how long an alert waits for others like it, ``longest_hold`` how long where some came.
    """

    min_users: int = 5
    min_share: float = 0.05
    within: timedelta = timedelta(minutes=15)
    hold: timedelta = timedelta()
    longest_hold: timedelta = timedelta()


def flapping_rule(*, transitions: int, within: timedelta, interval: timedelta) -> Flapping:
    """Return the rule for a poll interval: of changes that come faster than polls, every second poll shows one.

    So the time is at least what it takes to see one transition more than are allowed.
    """
    return Flapping(transitions=transitions, within=max(within, 2 * (transitions + 1) * interval))


def incident_rule(*, min_users: int, min_share: float, within: timedelta, interval: timedelta) -> IncidentRule:
    """Return the rule for a poll interval: what breaks at once is seen spread over one.

    So an alert waits a small part of it for others, and where some came, as long as it takes to see the rest.
    """
    span = min(within, interval)
    return IncidentRule(
        min_users=min_users,
        min_share=min_share,
        within=within,
        hold=span / HOLD_PART,
        longest_hold=span,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How alerts are decided.

    Attributes:
        severities: by error type; any other has ``otherwise``.
        provider_severities: by provider and error type (or :data:`ANY`), laid over ``severities``.
        confirm_for: how long an error must have lasted before its alert fires, and by error type where it differs.
        resource_lost: of alerts on resources; off by default.
        user_gone: of alerts on users; off by default.
        unknown_status: of alerts on connections whose status is not connected, error or paused.
        statuses: the same by status, where it differs.
        flapping: None where connections are never unstable.
        incident: None where waves are never one alert.
    """

    severities: Mapping[str, Severity] = field(default_factory=dict)
    otherwise: Severity = Severity.WARNING
    provider_severities: Mapping[str, Mapping[str, Severity]] = field(default_factory=dict)
    confirm_for: timedelta = timedelta()
    confirm_for_error_types: Mapping[str, timedelta] = field(default_factory=dict)
    resource_lost: Severity = Severity.NONE
    user_gone: Severity = Severity.NONE
    unknown_status: Severity = Severity.WARNING
    statuses: Mapping[str, Severity] = field(default_factory=dict)
    flapping: Flapping | None = None
    incident: IncidentRule | None = None

    @property
    def longest_pending(self) -> timedelta:
        """The longest time after which a pending alert is looked at again."""
        waits = [self.confirm_for, *self.confirm_for_error_types.values()]
        waits += [self.incident.longest_hold, self.incident.hold] if self.incident else []
        return max(waits)

    @property
    def longest_unstable(self) -> timedelta:
        """The longest time after which the alert of an unstable connection is looked at again."""
        return self.flapping.within if self.flapping else timedelta()

    def severity(self, error_type: str | None, provider: str | None = None) -> Severity:
        """Return how loud an error of this type is; None reads as ``unspecified``."""
        word = error_type or UNSPECIFIED
        own = self.provider_severities.get(provider or "", {})
        return own.get(word) or own.get(ANY) or self.severities.get(word, self.otherwise)

    def status_severity(self, status: str | None) -> Severity:
        """Return the severity of a status that is not a known one."""
        return self.statuses.get(status or "", self.unknown_status)

    def severity_in(self, status: str | None, error_type: str | None, provider: str | None) -> Severity:
        """Return the severity of what is wrong with a connection in this status; ``none`` where nothing is."""
        if status == ERROR:
            return self.severity(error_type, provider)
        return self.status_severity(status) if is_unknown_status(status) else Severity.NONE

    @property
    def raises_unknown_statuses(self) -> bool:
        """Whether any unknown status starts an alert."""
        return any(each is not Severity.NONE for each in (self.unknown_status, *self.statuses.values()))

    def confirmation(self, error_type: str | None) -> timedelta:
        """Return how long an error of this type must have lasted."""
        return self.confirm_for_error_types.get(error_type or UNSPECIFIED, self.confirm_for)

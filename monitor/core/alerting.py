"""What the policy makes of transitions: alerts that fire once and resolve once.

An alert belongs to one connection, and a connection has at most one open alert. ``errored`` and ``error_changed``
fire, except on a user's first snapshot; whatever takes the connection out of that error resolves. Suppression (a
severity of ``none``) never suppresses resolution. Each decision carries its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from monitor.core.model import UNSPECIFIED, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from monitor.core.model import Transition

NAMESPACE: Final = UUID("c1a2b0f4-55d1-5c6b-8f0e-2b8f6f1d9a77")
FIRES: Final = frozenset({Kind.ERRORED, Kind.ERROR_CHANGED})


class Severity(StrEnum):
    """How loud an alert is; ``none`` says that it is not raised."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    NONE = "none"


class AlertState(StrEnum):
    """Where an alert is in its life."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``severities`` maps an error type to its severity; any other error type has ``otherwise``."""

    severities: Mapping[str, Severity]
    otherwise: Severity = Severity.WARNING

    def severity(self, error_type: str | None) -> Severity:
        """Return how loud an error of this type is; None reads as ``unspecified``."""
        return self.severities.get(error_type or UNSPECIFIED, self.otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert and the error it is about. ``id`` is derived from the transition that fired it."""

    id: UUID
    target: str
    user_id: UUID
    provider: str
    severity: Severity
    error_type: str | None
    error_message: str | None
    errored_at: datetime | None
    fired_at: datetime
    fired_by: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One step in an alert's life. ``transition`` is None where a person ended it (user removed from the cohort)."""

    alert: Alert
    state: AlertState
    transition: Transition | None
    decided_at: datetime
    reason: str


def decide(
    policy: Policy, open_alerts: Mapping[str, Alert], transitions: Iterable[Transition], now: datetime
) -> tuple[Decision, ...]:
    """Return what ``transitions`` of one user mean for its ``open_alerts`` (by provider), in their order."""
    standing = dict(open_alerts)
    decisions: list[Decision] = []
    for each in transitions:
        decisions.extend(_step(policy, standing, each, now))
    return tuple(decisions)


def withdraw(open_alerts: Iterable[Alert], now: datetime, reason: str) -> tuple[Decision, ...]:
    """Resolve alerts because a person took their user out of the cohort."""
    return tuple(
        Decision(alert=each, state=AlertState.RESOLVED, transition=None, decided_at=now, reason=reason)
        for each in open_alerts
    )


def _step(policy: Policy, standing: dict[str, Alert], each: Transition, now: datetime) -> Iterator[Decision]:
    for alert in _ended(standing, each):
        del standing[alert.provider]
        yield Decision(
            alert=alert,
            state=AlertState.RESOLVED,
            transition=each,
            decided_at=now,
            reason=f"{each.kind} ends it",
        )
    raised = _raised(policy, each, now)
    if raised is not None:
        standing[raised.provider] = raised
        yield Decision(
            alert=raised, state=AlertState.FIRING, transition=each, decided_at=now, reason=f"{each.kind} fires"
        )


def _ended(standing: Mapping[str, Alert], each: Transition) -> tuple[Alert, ...]:
    if each.kind is Kind.USER_GONE:
        return tuple(standing.values())
    if each.provider is None or each.resource is not None:
        return ()
    alert = standing.get(each.provider)
    return () if alert is None else (alert,)


def _raised(policy: Policy, each: Transition, now: datetime) -> Alert | None:
    if each.kind not in FIRES or each.baseline or each.provider is None:
        return None
    severity = policy.severity(each.error_type)
    if severity is Severity.NONE:
        return None
    return Alert(
        id=uuid5(NAMESPACE, str(each.id)),
        target=each.target,
        user_id=each.user_id,
        provider=each.provider,
        severity=severity,
        error_type=each.error_type,
        error_message=each.error_message,
        errored_at=each.errored_at,
        fired_at=now,
        fired_by=each.id,
    )

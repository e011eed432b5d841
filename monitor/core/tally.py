"""How a poll moves the counts: differences by label, to be added where the counts are kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.core.alerting import AlertState
from monitor.core.model import AVAILABLE, UNSPECIFIED, Intent, Presence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.core.alerting import Alert, Decision
    from monitor.core.incidents import IncidentDecision
    from monitor.core.model import Connection, Transition


UNSEEN_AFTER: Final = 2
"""Polls in a row that returned nothing about a user; a single one is common."""


class Count(StrEnum):
    """What is counted, and below each what its labels are."""

    CONNECTIONS = "connections"
    """provider, status, error type (``unspecified`` for an error without one, empty outside ``error``)"""
    RESOURCES_UNAVAILABLE = "resources_unavailable"
    """provider, resource"""
    USERS = "users"
    """state: ``active``, ``paused`` or ``gone``"""
    TRANSITIONS = "transitions"
    """provider, kind, error type; a running total"""
    ALERTS = "alerts"
    """provider, severity; firing now"""
    INCIDENTS = "incidents"
    """provider, error type; open now"""
    UNSEEN = "unseen"
    """reason: how the last poll of active users ended whose last two polls or more returned nothing"""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One row of the counts; unused labels are empty."""

    target: str
    count: Count
    a: str = ""
    b: str = ""
    c: str = ""


def of_connections(target: str, connections: Iterable[Connection]) -> Counter[Key]:
    """Count ``connections`` by provider, status and error type, and their unavailable resources."""
    counts: Counter[Key] = Counter()
    for each in connections:
        error_type = (each.error_type or UNSPECIFIED) if each.in_error else ""
        counts[Key(target, Count.CONNECTIONS, each.provider, each.status, error_type)] += 1
        for resource, word in each.resources.items():
            if word != AVAILABLE:
                counts[Key(target, Count.RESOURCES_UNAVAILABLE, each.provider, resource)] += 1
    return counts


def of_transitions(transitions: Iterable[Transition]) -> Counter[Key]:
    """Count ``transitions`` by provider, kind and error type; user kinds have no provider.

    The error type is the one the connection has now, else the one that it left.
    """
    return Counter(
        Key(
            each.target,
            Count.TRANSITIONS,
            each.provider or "",
            each.kind,
            _error_type(each),
        )
        for each in transitions
    )


def of_decisions(decisions: Iterable[Decision]) -> Counter[Key]:
    """Count what ``decisions`` add to and take from the alerts that are firing."""
    counts: Counter[Key] = Counter()
    for each in decisions:
        key = Key(each.alert.user.target, Count.ALERTS, each.alert.provider, each.alert.severity)
        counts[key] += (each.state is AlertState.FIRING) - (each.was is AlertState.FIRING)
    return counts


def of_alerts(firing: Iterable[Alert]) -> Counter[Key]:
    """Count alerts that are firing."""
    return Counter(Key(each.user.target, Count.ALERTS, each.provider, each.severity) for each in firing)


def of_incidents(decisions: Iterable[IncidentDecision]) -> Counter[Key]:
    """Count what ``decisions`` add to and take from the incidents that are open."""
    counts: Counter[Key] = Counter()
    for each in decisions:
        target, provider, error_type = each.incident.key
        key = Key(target, Count.INCIDENTS, provider, error_type)
        counts[key] += (each.incident.state is AlertState.FIRING) - (each.was is AlertState.FIRING)
    return counts


def of_user(
    target: str, intent: Intent, presence: Presence, failures: int = 0, outcome: str | None = None
) -> Counter[Key]:
    """Count one user under its state, and under the reason why it is not seen; a removed one is not counted."""
    state = user_state(intent, presence)
    counts = Counter({Key(target, Count.USERS, state): 1}) if state else Counter[Key]()
    if state == "active" and outcome is not None and failures >= UNSEEN_AFTER:
        counts[Key(target, Count.UNSEEN, outcome)] = 1
    return counts


def user_state(intent: Intent, presence: Presence) -> str | None:
    """Return ``active``, ``paused``, ``gone`` or None. What the vendor calls invalid is paused."""
    if intent is Intent.REMOVED:
        return None
    if intent is Intent.PAUSED or presence is Presence.INVALID:
        return "paused"
    return "gone" if presence is Presence.GONE else "active"


def difference(before: Counter[Key], after: Counter[Key]) -> Counter[Key]:
    """Return what to add to get from ``before`` to ``after``, without zeros."""
    moved = Counter(after)
    moved.subtract(before)
    return Counter({key: amount for key, amount in moved.items() if amount})


def _error_type(each: Transition) -> str:
    if each.status == "error":
        return each.error_type or UNSPECIFIED
    if each.previous_status == "error":
        return each.previous_error_type or UNSPECIFIED
    return ""

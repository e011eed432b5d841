"""What a user's registration says about its alerts: which first errors are news, and what an earlier removal ended.

Adopting a cohort never fires. An error in a first snapshot is news only where it is certainly younger than the
registration, or where the user itself is younger than the target's first discovery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import uuid5

from monitor.core.alerting import GROUPED, NAMESPACE, AlertKind, AlertState, Decision, Slot
from monitor.core.model import ERROR, UNKNOWN_STATUS, UNSPECIFIED, Kind
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping
    from datetime import datetime

    from monitor.core.alerting import Alert
    from monitor.core.model import Connection, Transition
    from monitor.core.policy import Policy

ADDED_AGAIN: Final = "the user was added again and the error had not ended"
RESTORABLE: Final = GROUPED | {AlertKind.UNSTABLE}
"""The kinds of alerts that begin again with their user: those about errors and unknown statuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOrigin:
    """When and how a user came into the cohort.

    ``created_on`` is when Junction made the user, known only where discovery found it. ``discovered_at`` is when the
    target's user list was first read to its end.
    """

    registered_at: datetime
    created_on: datetime | None = None
    discovered_at: datetime | None = None

    def makes_news(self, transition: Transition) -> bool:
        """Return whether a first snapshot shows an error that fires."""
        if not transition.baseline or transition.kind is not Kind.ERRORED:
            return False
        if transition.errored_at is not None and transition.errored_at > self.registered_at:
            return True
        if self.created_on is None or self.discovered_at is None:
            return False
        return self.created_on > self.discovered_at


def restore_alerts(
    policy: Policy,
    standing: MutableMapping[Slot, Alert],
    ended: Iterable[Alert],
    connections: Mapping[str, Connection],
    now: datetime,
) -> Iterator[Decision]:
    """Begin the alerts again that ended because their user was removed, where what they are about lasts.

    Args:
        policy: what a person decided.
        standing: the user's open alerts, kept up to date.
        ended: the user's alerts that removals ended, oldest first; the last one of a connection counts.
        connections: the user's connections, as observed since it was added again.
        now: when it is decided.
    """
    latest = {each.slot: each for each in ended if each.kind in RESTORABLE}
    for slot in sorted(latest.keys() - standing.keys()):
        connection = connections.get(slot.provider)
        alert = None if connection is None else _restored(policy, latest[slot], connection, now)
        if alert is not None:
            standing[slot] = alert
            yield Decision(alert=alert, was=None, transition=None, decided_at=now, reason=ADDED_AGAIN)


def _restored(policy: Policy, ended: Alert, connection: Connection, now: datetime) -> Alert | None:
    severity = policy.severity_in(connection.status, connection.error_type, connection.provider)
    if severity is Severity.NONE or not _is_same(ended, connection):
        return None
    in_error = connection.status == ERROR
    error_type = connection.error_type if in_error else UNKNOWN_STATUS
    confirmed_at = max(now, ended.began_at + policy.confirmation(error_type))
    return replace(
        ended,
        id=uuid5(NAMESPACE, f"again|{ended.id}"),
        kind=AlertKind.ERROR if in_error else AlertKind.UNKNOWN_STATUS,
        severity=severity,
        state=AlertState.PENDING,
        status=connection.status,
        error_type=error_type,
        error_message=connection.error_message,
        errored_at=connection.errored_at,
        confirmed_at=confirmed_at,
        due_at=confirmed_at,
        fired_at=None,
        incident_id=None,
        updates=0,
    )


def _is_same(ended: Alert, connection: Connection) -> bool:
    """Return whether a connection is still in the error of an alert, or in an unknown status as it was."""
    if connection.status == ERROR:
        return (ended.error_type or UNSPECIFIED) == (connection.error_type or UNSPECIFIED)
    return ended.status == connection.status

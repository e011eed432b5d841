"""The life of an alert, as a pure state machine: what a transition, or the passage of time, makes of it.

An alert stands in a slot of its user: a connection (its error), a resource of a connection, or the user itself; a slot
has at most one open alert. It is *pending* while its error is not confirmed or others like it may come, then it
*fires*, and what takes the slot out of that state *resolves* it. One that ends unconfirmed is *withdrawn*: nobody was
told. An alert is over when its error is: a status that is not known resolves nothing, and the same error with a new
time or message is still the same alert. Suppression (a severity of ``none``, a first snapshot, an unstable connection)
never suppresses an end. Each decision carries its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID, uuid5

from monitor.core import flapping
from monitor.core.model import ERROR, UNKNOWN_STATUS, UNSPECIFIED, Kind, is_unknown_status
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence
    from datetime import datetime

    from monitor.core.model import Transition, User
    from monitor.core.policy import Policy

NAMESPACE: Final = UUID("c1a2b0f4-55d1-5c6b-8f0e-2b8f6f1d9a77")
FIRES: Final = frozenset({Kind.ERRORED, Kind.ERROR_CHANGED})
REMOVED: Final = "the user was removed from the cohort"
BASELINE: Final = "first snapshot: what it shows never fires"
MUTED: Final = "its severity is none"
NOW_NONE: Final = "its severity is now none"
REPEATED: Final = "the same error with another time"


class AlertState(StrEnum):
    """Where an alert is in its life. Of ``pending`` and ``withdrawn`` nobody hears."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


OPEN: Final = frozenset({AlertState.PENDING, AlertState.FIRING})


class AlertKind(StrEnum):
    """What an alert is about."""

    ERROR = "error"
    UNKNOWN_STATUS = "unknown_status"
    UNSTABLE = "unstable"
    RESOURCE_LOST = "resource_lost"
    USER_GONE = "user_gone"


GROUPED: Final = frozenset({AlertKind.ERROR, AlertKind.UNKNOWN_STATUS})
"""Many alerts of these kinds at once are an incident."""


class Slot(NamedTuple):
    """The place of an alert at its user; empty where it does not apply."""

    provider: str = ""
    resource: str = ""


USER_SLOT: Final = Slot()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert and what it is about.

    Attributes:
        id: derived from the transition ``began_by`` which it comes of.
        status: of the connection, as last seen; None where it is gone.
        began_at: since when the error lasts, by our observation; a change of the error does not start it anew.
        confirmed_at: when it has lasted long enough.
        due_at: when time alone may move it, None where it cannot.
        incident_id: of the incident that it is a member of.
        updates: how often its firing was notified again, because its severity had become higher.
    """

    id: UUID
    user: User
    slot: Slot
    kind: AlertKind
    severity: Severity
    state: AlertState
    status: str | None
    error_type: str | None
    error_message: str | None
    errored_at: datetime | None
    began_at: datetime
    began_by: UUID
    confirmed_at: datetime
    due_at: datetime | None = None
    fired_at: datetime | None = None
    incident_id: UUID | None = None
    updates: int = 0

    @property
    def provider(self) -> str:
        """The provider's slug, empty for an alert on a user."""
        return self.slot.provider

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One step in an alert's life.

    ``alert`` is what it is after the step, ``was`` its state before, None where it began with it. ``transition`` is
    what the step was taken on: of a firing alert the one that it began by; None where time or a person ended it.
    ``previous_severity`` is set where the step is a change of the severity.
    """

    alert: Alert
    was: AlertState | None
    transition: Transition | None
    decided_at: datetime
    reason: str
    previous_severity: Severity | None = None

    @property
    def state(self) -> AlertState:
        """The alert's state after the step."""
        return self.alert.state

    @property
    def told(self) -> bool:
        """Whether people hear of the step: of firing, of a higher severity, and of the end of what fired."""
        if self.state is AlertState.FIRING:
            return self.was is not AlertState.FIRING or self.is_renewed
        return self.state is AlertState.RESOLVED

    @property
    def is_renewed(self) -> bool:
        """Whether the firing is notified again because its severity has become higher."""
        before = self.previous_severity
        return before is not None and self.was is AlertState.FIRING and self.alert.severity.is_higher_than(before)


def follow(
    policy: Policy,
    standing: MutableMapping[Slot, Alert],
    history: Sequence[Transition],
    each: Transition,
    now: datetime,
    *,
    is_news: bool = False,
) -> Iterator[Decision]:
    """Take one transition of a user into account.

    Args:
        policy: what a person decided.
        standing: the user's open alerts, kept up to date.
        history: status transitions of the same connection before this one, oldest first; those of the last
            ``flapping.within`` at least.
        each: the transition.
        now: when it is decided on.
        is_news: whether a first snapshot shows an error that is not older than the user's registration.
    """
    if each.kind is Kind.USER_GONE:
        yield from _end_all(standing, each, now)
    elif each.kind is Kind.USER_RETURNED:
        yield from _end(standing, USER_SLOT, each, now)
    if each.resource is not None:
        yield from _end(standing, Slot(each.provider or "", each.resource), each, now)
    elif each.provider is not None:
        yield from _follow_status(policy, standing, history, each, now, is_news=is_news)
        return
    if unraised(policy, each) is None:
        yield _begin(policy, standing, each, each.observed_at, now)


def withdraw(standing: MutableMapping[Slot, Alert], now: datetime) -> Iterator[Decision]:
    """End a user's alerts because a person took the user out of the cohort."""
    for slot in sorted(standing):
        yield from _over(standing.pop(slot), None, now, REMOVED)


def unraised(policy: Policy, each: Transition, *, is_news: bool = False) -> str | None:
    """Return why a transition begins no alert by itself, None where it does; ``is_news`` as in :func:`follow`."""
    kind, severity = _subject(policy, each)
    if kind is None:
        return "not a fault"
    if each.baseline and not is_news:
        return BASELINE
    if each.repeats_error:
        return REPEATED
    return MUTED if severity is Severity.NONE else None


def is_new_error(each: Transition) -> bool:
    """Return whether a connection was certainly not in the same error before; what it was in is not always known."""
    return each.kind in FIRES and not each.repeats_error and not is_unknown_status(each.previous_status)


def fire(alert: Alert, now: datetime, reason: str) -> Decision:
    """Let a pending alert fire."""
    fired = replace(alert, state=AlertState.FIRING, fired_at=now, due_at=None)
    return Decision(alert=fired, was=alert.state, transition=None, decided_at=now, reason=reason)


def wait(alert: Alert, until: datetime, now: datetime, reason: str) -> Decision:
    """Let a pending alert wait longer."""
    return Decision(alert=replace(alert, due_at=until), was=alert.state, transition=None, decided_at=now, reason=reason)


def calm(policy: Policy, alert: Alert, now: datetime) -> Iterator[Decision]:
    """End an unstable alert whose connection was quiet for long enough; one that ended in error fires as such."""
    still = alert.status == ERROR
    left = f"in error {alert.error_type or UNSPECIFIED}" if still else alert.status or "removed"
    yield from _over(alert, None, now, f"it was quiet for long enough, and is {left}")
    severity = policy.severity_in(alert.status, alert.error_type, alert.provider)
    if severity is not Severity.NONE:
        went_on = replace(
            alert,
            id=uuid5(NAMESPACE, f"still|{alert.id}"),
            kind=AlertKind.ERROR if still else AlertKind.UNKNOWN_STATUS,
            error_type=alert.error_type if still else UNKNOWN_STATUS,
            severity=severity,
            state=AlertState.FIRING,
            due_at=None,
            fired_at=now,
            updates=0,
        )
        came_to_rest = "it came to rest in error" if still else "it came to rest in an unknown status"
        yield Decision(alert=went_on, was=None, transition=None, decided_at=now, reason=came_to_rest)


def _follow_status(
    policy: Policy,
    standing: MutableMapping[Slot, Alert],
    history: Sequence[Transition],
    each: Transition,
    now: datetime,
    *,
    is_news: bool,
) -> Iterator[Decision]:
    slot = Slot(each.provider or "")
    if each.kind is Kind.DISAPPEARED:
        for resource in sorted(found for found in standing if found.provider == slot.provider and found.resource):
            yield from _end(standing, resource, each, now)
    held = standing.get(slot)
    if held is not None and held.kind is AlertKind.UNSTABLE:
        standing[slot] = _noted(policy, held, each)
        yield Decision(
            alert=standing[slot], was=held.state, transition=each, decided_at=now, reason="it is unstable still"
        )
        return
    if held is not None and _goes_on(held, each):
        standing[slot] = _refreshed(held, each)
        why = "the same error goes on" if each.status == ERROR else "an unknown status ends nothing"
        yield Decision(alert=standing[slot], was=held.state, transition=each, decided_at=now, reason=why)
        return
    began_at = each.observed_at
    if held is not None and held.kind is AlertKind.ERROR and _stays_in_error(each):
        began_at = held.began_at
    yield from _end(standing, slot, each, now)
    flaps = () if each.repeats_error else flapping.found(policy, [*history, each])
    if flaps:
        yield _become_unstable(policy, standing, flaps, now)
    elif unraised(policy, each, is_news=is_news) is None:
        yield _begin(policy, standing, each, began_at, now)


def _goes_on(alert: Alert, each: Transition) -> bool:
    """Return whether a connection's open alert is not over: the status is not known, or the error is the same."""
    if is_unknown_status(each.status):
        return True
    same = (alert.error_type or UNSPECIFIED) == (each.error_type or UNSPECIFIED)
    return same and _stays_in_error(each)


def _stays_in_error(each: Transition) -> bool:
    """Return whether a connection is in error, and was not seen out of it just before."""
    return each.status == ERROR and (each.kind is Kind.ERROR_CHANGED or is_unknown_status(each.previous_status))


def _refreshed(alert: Alert, each: Transition) -> Alert:
    """Return an alert that goes on, as its connection is now; what is wrong keeps its last description."""
    if each.status != ERROR:
        return replace(alert, status=each.status)
    return replace(alert, status=each.status, error_message=each.error_message, errored_at=each.errored_at)


def _subject(policy: Policy, each: Transition) -> tuple[AlertKind | None, Severity]:
    """Return what kind of alert a transition asks for, and its severity; None where it shows no fault."""
    if each.kind in FIRES:
        return AlertKind.ERROR, policy.severity(each.error_type, each.provider)
    if each.kind is Kind.RESOURCE_LOST:
        return AlertKind.RESOURCE_LOST, policy.resource_lost
    if each.kind is Kind.USER_GONE:
        return AlertKind.USER_GONE, policy.user_gone
    if each.resource is None and is_unknown_status(each.status):
        return AlertKind.UNKNOWN_STATUS, policy.status_severity(each.status)
    return None, Severity.NONE


def _begin(
    policy: Policy, standing: MutableMapping[Slot, Alert], each: Transition, began_at: datetime, now: datetime
) -> Decision:
    """Begin an alert; it is looked at again when it is confirmed, which may be at once."""
    kind, severity = _subject(policy, each)
    assert kind is not None  # noqa: S101 - only what is raised begins
    alert, confirmed_at = _of(each, kind, severity), began_at
    if kind in GROUPED:
        confirmed_at = max(each.observed_at, began_at + policy.confirmation(alert.error_type))
    alert = replace(alert, began_at=began_at, confirmed_at=confirmed_at, due_at=confirmed_at)
    standing[alert.slot] = alert
    return Decision(alert=alert, was=None, transition=each, decided_at=now, reason=f"{each.kind} begins it")


def _become_unstable(
    policy: Policy, standing: MutableMapping[Slot, Alert], flaps: Sequence[Transition], now: datetime
) -> Decision:
    last = flaps[-1]
    alert = replace(
        _of(last, AlertKind.UNSTABLE, flapping.severity(policy, flaps)),
        id=uuid5(NAMESPACE, f"unstable|{last.id}"),
        error_type=flapping.latest_error(flaps),
        state=AlertState.FIRING,
        fired_at=now,
    )
    standing[alert.slot] = alert = _noted(policy, alert, last)
    reason = f"{len(flaps)} transitions within {flapping.minutes(policy):g} min"
    return Decision(alert=alert, was=None, transition=last, decided_at=now, reason=reason)


def _of(each: Transition, kind: AlertKind, severity: Severity) -> Alert:
    return Alert(
        id=uuid5(NAMESPACE, str(each.id)),
        user=each.user,
        slot=Slot(each.provider or "", each.resource or ""),
        kind=kind,
        severity=severity,
        state=AlertState.PENDING,
        status=each.status,
        error_type=UNKNOWN_STATUS if kind is AlertKind.UNKNOWN_STATUS else each.error_type,
        error_message=each.error_message,
        errored_at=each.errored_at,
        began_at=each.observed_at,
        began_by=each.id,
        confirmed_at=each.observed_at,
    )


def _noted(policy: Policy, alert: Alert, each: Transition) -> Alert:
    """Keep what an unstable connection is now, and let it be quiet for as long again from here."""
    quiet = each.observed_at + policy.flapping.within if policy.flapping else each.observed_at
    if each.repeats_error and alert.due_at is not None:
        quiet = alert.due_at  # an error that is stamped anew at each poll would never be quiet
    noted = replace(alert, status=each.status, due_at=quiet)
    if each.status != ERROR:
        return noted
    return replace(noted, error_type=each.error_type, error_message=each.error_message, errored_at=each.errored_at)


def _end_all(standing: MutableMapping[Slot, Alert], each: Transition, now: datetime) -> Iterator[Decision]:
    for slot in sorted(standing):
        yield from _end(standing, slot, each, now)


def _end(standing: MutableMapping[Slot, Alert], slot: Slot, each: Transition, now: datetime) -> Iterator[Decision]:
    alert = standing.pop(slot, None)
    if alert is not None:
        yield from _over(alert, each, now, f"{each.kind} ends it")


def _over(alert: Alert, each: Transition | None, now: datetime, reason: str) -> Iterator[Decision]:
    """End an alert. One that was confirmed and merely waited for others has its say first: a wait loses nothing."""
    ended_at = now if each is None else each.observed_at
    if alert.state is AlertState.PENDING and ended_at < alert.confirmed_at:
        gone = replace(alert, state=AlertState.WITHDRAWN, due_at=None)
        yield Decision(alert=gone, was=alert.state, transition=each, decided_at=now, reason=f"{reason} unconfirmed")
        return
    if alert.state is AlertState.PENDING:
        told = fire(alert, now, "it is over already")
        yield told
        alert = told.alert
    ended = replace(alert, state=AlertState.RESOLVED, due_at=None, status=each.status if each else alert.status)
    yield Decision(alert=ended, was=alert.state, transition=each, decided_at=now, reason=reason)

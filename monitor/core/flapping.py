"""When a connection's transitions are so many that it is unstable, and which error it flaps in.

An error that is merely stamped anew is no change and does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import ERROR, UNKNOWN_STATUS, Kind, is_unknown_status
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Transition
    from monitor.core.policy import Policy


def found(policy: Policy, transitions: Sequence[Transition]) -> Sequence[Transition]:
    """Return those of a connection's transitions (oldest first) that make it unstable, none where it is not.

    An error or an unknown status must be among them, and one that people are notified of.
    """
    last = transitions[-1]
    if policy.flapping is None or last.kind is Kind.DISAPPEARED:
        return ()
    earliest = last.observed_at - policy.flapping.within
    recent = [each for each in transitions if each.observed_at >= earliest and _counts(each)]
    if len(recent) <= policy.flapping.transitions or not any(map(_concerns_fault, recent)):
        return ()
    return () if severity(policy, recent) is Severity.NONE else recent


def severity(policy: Policy, transitions: Sequence[Transition]) -> Severity:
    """Return the severity of the last fault among transitions, of which one concerns a fault."""
    status, error_type = _latest_fault(transitions)
    return policy.severity_in(status, error_type, transitions[-1].provider)


def latest_error(transitions: Sequence[Transition]) -> str | None:
    """Return the type of the last fault among transitions, of which one concerns a fault."""
    status, error_type = _latest_fault(transitions)
    return error_type if status == ERROR else UNKNOWN_STATUS


def minutes(policy: Policy) -> float:
    """Return within how many minutes transitions count."""
    return policy.flapping.within.total_seconds() / 60 if policy.flapping else 0


def _counts(each: Transition) -> bool:
    return not each.baseline and not each.repeats_error


def _concerns_fault(each: Transition) -> bool:
    return any(_is_fault(status) for status in (each.status, each.previous_status))


def _latest_fault(transitions: Sequence[Transition]) -> tuple[str | None, str | None]:
    """Return status and error type of the last fault, which its transition leads to, or else leaves."""
    last = next(each for each in reversed(transitions) if _concerns_fault(each))
    if _is_fault(last.status):
        return last.status, last.error_type
    return last.previous_status, last.previous_error_type


def _is_fault(status: str | None) -> bool:
    return status == ERROR or is_unknown_status(status)

"""When a connection's transitions are so many that it is unstable, and which error it flaps in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import ERROR, Kind
from monitor.core.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Transition
    from monitor.core.policy import Policy


def found(policy: Policy, transitions: Sequence[Transition]) -> Sequence[Transition]:
    """Return those of a connection's transitions (oldest first) that make it unstable, none where it is not.

    An error must be among them, and one that people are told of.
    """
    last = transitions[-1]
    if policy.flapping is None or last.kind is Kind.DISAPPEARED:
        return ()
    earliest = last.observed_at - policy.flapping.within
    recent = [each for each in transitions if each.observed_at >= earliest and not each.baseline]
    if len(recent) <= policy.flapping.transitions or not any(map(_concerns_error, recent)):
        return ()
    muted = policy.severity(latest_error(recent), last.provider) is Severity.NONE
    return () if muted else recent


def latest_error(transitions: Sequence[Transition]) -> str | None:
    """Return the type of the last error among transitions, of which one concerns an error."""
    last = next(each for each in reversed(transitions) if _concerns_error(each))
    return last.error_type if last.status == ERROR else last.previous_error_type


def minutes(policy: Policy) -> float:
    """Return within how many minutes transitions count."""
    return policy.flapping.within.total_seconds() / 60 if policy.flapping else 0


def _concerns_error(each: Transition) -> bool:
    return ERROR in (each.status, each.previous_status)

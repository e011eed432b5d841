"""A scenario for ``monitor demo``: lively, and such that a good monitor can find every change."""

from __future__ import annotations

from typing import Final

from monitor.simulator.orders import ClearStep, FaultStep, Step
from monitor.simulator.scenario import Changes, Scenario
from monitor.simulator.words import Do, Fault

_QUIET_BEFORE: Final = 0.2
_QUIET_AFTER: Final = 0.75
_LONG_ENOUGH_TO_LOSE: Final = 120
_LONG_ENOUGH_TO_RETURN: Final = 240
_KINDS: Final = (
    Do.BREAK,
    Do.VANISH,
    Do.PAUSE,
    Do.LOSE_RESOURCE,
    Do.HEAL,
    Do.RELINK,
    Do.CHANGE_ERROR,
    Do.UNPAUSE,
    Do.REGAIN_RESOURCE,
    Do.COME_BACK,
)


def demo_scenario(users: int, seed: int, duration_seconds: float) -> Scenario:
    """Return a world in which every kind of change happens between 20 % and 75 % of the duration.

    A wave at 60 %, 503 for some seconds at 45 %. A 404 is confirmed by a second one a minute later, so users are
    deleted only where the duration leaves time for it. Users that appear later are no member of a cohort that was
    registered in the beginning: none do.
    """
    start, end = _QUIET_BEFORE * duration_seconds, _QUIET_AFTER * duration_seconds
    lively = max(12.0, min(users / 4, 2.0 * (end - start)))
    changes = Changes(
        per_second=lively / (end - start),
        since=start,
        until=end,
        rest=max(4.0, min(duration_seconds / 5, 30.0)),
    )
    timeline = (*_one_of_each(start, end), *_incidents(duration_seconds), *_departures(duration_seconds))
    return Scenario(seed=seed, users=users, changes=changes, timeline=timeline)


def _one_of_each(start: float, end: float) -> tuple[Step, ...]:
    pace = (end - start) / (len(_KINDS) + 1)
    return tuple(Step(at=start + pace * place, do=do) for place, do in enumerate(_KINDS, 1))


def _incidents(duration: float) -> tuple[Step | FaultStep | ClearStep, ...]:
    outage = max(2.0, min(0.1 * duration, 8.0))
    return (
        FaultStep(at=0.45 * duration, fault=Fault.UNAVAILABLE, lasts=outage),
        Step(at=0.6 * duration, do=Do.WAVE, provider="fitbit", error_type="token_refresh_failed", share=0.6),
    )


def _departures(duration: float) -> tuple[Step, ...]:
    if duration < _LONG_ENOUGH_TO_LOSE:
        return ()
    gone = tuple(Step(at=share * duration, do=Do.DELETE_USER) for share in (0.21, 0.25, 0.29))
    back = Step(at=0.21 * duration + 110, do=Do.RESTORE_USER)
    return (*gone, back) if duration >= _LONG_ENOUGH_TO_RETURN else gone

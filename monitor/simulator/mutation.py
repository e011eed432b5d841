"""What each change does to one row; nothing here knows users, clocks or chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from monitor.simulator import ailments
from monitor.simulator.people import Failure
from monitor.simulator.words import CONNECTED, ERROR, PAUSED, Do, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.simulator.people import Connection


class ImpossibleChangeError(ValueError):
    """The world is in no state in which this change could happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When a row changes, and the details; ``error_type`` None means an error without details."""

    now: datetime
    error_type: str | None = None
    resource: str = ""
    status: str = ""


def _healthy(row: Connection) -> bool:
    return row.status == CONNECTED


def _losable(row: Connection) -> bool:
    return row.status == CONNECTED and len(row.unavailable) < len(row.provider.resources)


def _regainable(row: Connection) -> bool:
    return row.status == CONNECTED and bool(row.unavailable)


def _break(row: Connection, case: Circumstances) -> Connection:
    return replace(row, status=ERROR, failure=_failure(row, case))


def _failure(row: Connection, case: Circumstances) -> Failure | None:
    if case.error_type is None:
        return None
    before = row.failure.errored_at if row.failure else None
    return Failure(
        error_type=case.error_type,
        message=ailments.message(case.error_type, row.provider),
        errored_at=row.stamp(case.now, before),
    )


def _link(row: Connection, case: Circumstances) -> Connection:
    return replace(row, status=CONNECTED, failure=None, created_on=row.stamp(case.now, row.created_on))


def _come_back(row: Connection, case: Circumstances) -> Connection:
    linked = _link(row, case)
    return linked if case.error_type is None else _break(linked, case)


def _pause(row: Connection, _: Circumstances) -> Connection:
    return replace(row, status=PAUSED, failure=None)


def _is_suspended(row: Connection) -> bool:
    """Tell whether the row is neither connected nor in error: paused, or of an unknown status."""
    return row.status not in {CONNECTED, ERROR}


def _unpause(row: Connection, _: Circumstances) -> Connection:
    return replace(row, status=CONNECTED)


def _set_status(row: Connection, case: Circumstances) -> Connection:
    if row.status == case.status:
        raise ImpossibleChangeError(f"{row.provider.slug} is {case.status} already")
    return replace(row, status=case.status, failure=None)


def _scopes(row: Connection, name: str) -> frozenset[str]:
    for each in row.provider.resources:
        if each.name == name:
            return frozenset((*each.required, *each.optional))
    raise ImpossibleChangeError(f"{row.provider.slug} has no resource {name}")


def _lose_resource(row: Connection, case: Circumstances) -> Connection:
    return replace(row, denied=row.denied | _scopes(row, case.resource))


def _regain_resource(row: Connection, case: Circumstances) -> Connection:
    return replace(row, denied=row.denied - _scopes(row, case.resource))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One way in which a row that is there can change. ``kind`` is None for changes seen by resource."""

    possible: Callable[[Connection], bool]
    apply: Callable[[Connection, Circumstances], Connection]
    kind: Kind | None


MUTATIONS: Final = MappingProxyType(
    {
        Do.BREAK: Mutation(possible=lambda row: not row.in_error, apply=_break, kind=Kind.ERRORED),
        Do.WAVE: Mutation(possible=lambda row: not row.in_error, apply=_break, kind=Kind.ERRORED),
        Do.CHANGE_ERROR: Mutation(possible=lambda row: row.in_error, apply=_break, kind=Kind.ERROR_CHANGED),
        Do.HEAL: Mutation(possible=lambda row: row.in_error, apply=_link, kind=Kind.RECOVERED),
        Do.RELINK: Mutation(possible=_healthy, apply=_link, kind=Kind.RECONNECTED),
        Do.PAUSE: Mutation(possible=lambda row: row.status != PAUSED, apply=_pause, kind=Kind.STATUS_CHANGED),
        Do.UNPAUSE: Mutation(possible=_is_suspended, apply=_unpause, kind=Kind.STATUS_CHANGED),
        Do.SET_STATUS: Mutation(possible=lambda _: True, apply=_set_status, kind=Kind.STATUS_CHANGED),
        Do.LOSE_RESOURCE: Mutation(possible=_losable, apply=_lose_resource, kind=None),
        Do.REGAIN_RESOURCE: Mutation(possible=_regainable, apply=_regain_resource, kind=None),
    }
)
"""Of rows that are there before and after."""

come_back: Final = _come_back

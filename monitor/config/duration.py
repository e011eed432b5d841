"""Durations as people write them: ``30s``, ``15m``, ``2h``, ``7d``, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from monitor.config.expectation import expected

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=3650)
"""Ten years: further, a due time would soon leave the calendar."""

LONGEST_INTERVAL: Final = timedelta(days=30)
"""Alert rules look back over up to 2,002 poll intervals (``alerts.flapping.transitions``): 165 years, not 20,000."""
LONGEST_TIMEOUT: Final = timedelta(minutes=10)
"""A lease and the shutdown last longer than a request may."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhd]?)")
_LOOKS: Final = "a duration such as 30s, 15m, 2h or 7d"


def parse(value: object) -> timedelta:
    """Return the duration that ``value`` (text, or a number of seconds) says, never negative."""
    if isinstance(value, timedelta):
        return value
    seconds = _seconds(value)
    if seconds is None:
        raise expected(_LOOKS)
    if not seconds <= LONGEST.total_seconds():
        raise expected(f"a duration of {shown(LONGEST)} or less")
    return timedelta(seconds=seconds)


def shown(value: timedelta) -> str:
    """Return ``value`` in its largest whole unit: ``15m`` for 900 seconds, ``90s`` for 90, ``0.5s`` for half a one."""
    if value % SECOND:
        return f"{value.total_seconds():f}".rstrip("0") + "s"
    seconds = value // SECOND
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        written = _WRITTEN.fullmatch(value.strip())
        return float(written[1]) * _UNITS[written[2] or "s"] if written else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if value >= 0 else None


Duration = Annotated[
    timedelta,
    BeforeValidator(parse),
    PlainSerializer(shown, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?[smhd]?$"},
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]
"""A :class:`datetime.timedelta`; written and shown as text."""


def _above_zero(value: timedelta) -> timedelta:
    if not value:
        raise expected("a duration of more than 0s")
    return value


def _a_second_or_more(value: timedelta) -> timedelta:
    if value < SECOND:
        raise expected("a duration of 1s or more")
    return value


def _at_most(longest: timedelta) -> Callable[[timedelta], timedelta]:
    def checked(value: timedelta) -> timedelta:
        if value > longest:
            raise expected(f"a duration of {shown(longest)} or less")
        return value

    return checked


Timeout = Annotated[Duration, AfterValidator(_above_zero), AfterValidator(_at_most(LONGEST_TIMEOUT))]
"""How long something may take."""
Interval = Annotated[Duration, AfterValidator(_a_second_or_more)]
"""How often something is done."""
PollInterval = Annotated[Interval, AfterValidator(_at_most(LONGEST_INTERVAL))]
"""How often every user is polled."""

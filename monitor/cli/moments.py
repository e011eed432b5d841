"""Points in time as people type and read them; always UTC, whatever the machine's zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from monitor.errors import UsageError

EXPECTED: Final = "a time such as 2026-11-24T03:15:00Z, a date, or a duration ago such as 2h"

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d|w)|(\d{1,7})", re.ASCII)
"""More digits without a unit are more likely a date than seconds."""
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_DAYS_IN_HOURS: Final = 2


def parse(text: str, now: datetime, *, option: str) -> datetime:
    """Return the moment that ``text`` names, given for ``option``; without an offset it is UTC.

    Raises:
        UsageError: it is neither a time, nor a date, nor a duration ago.
    """
    try:
        return _ago(text, now) or _time(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: expected {EXPECTED}, got {text!r}") from error


def _ago(text: str, now: datetime) -> datetime | None:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    amount, unit, seconds = match.groups()
    return now - timedelta(seconds=float(amount) * _SECONDS[unit] if unit else int(seconds))


def _time(text: str) -> datetime:
    if _TIME.fullmatch(text.strip()) is None:
        raise ValueError(text)
    moment = datetime.fromisoformat(text.strip().upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def plain(moment: datetime) -> str:
    """Return ``2026-11-24 03:15:02Z``."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def relative(moment: datetime, now: datetime) -> str:
    """Return ``3 min ago`` or ``in 3 min``, in the largest unit of which there are enough to mean something."""
    seconds = int(abs((now - moment).total_seconds()))
    for size, unit in _STEPS:
        enough = size * _DAYS_IN_HOURS if unit in {"d", "h"} else size
        if seconds >= enough:
            amount = f"{seconds // size} {unit}"
            return f"{amount} ago" if moment <= now else f"in {amount}"
    return "now"

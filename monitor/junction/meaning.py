"""What the head of an answer means, by itself (contract, section 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from monitor.core.model import Outcome
from monitor.junction.wire import storable

LONGEST_DETAIL: Final = 150
MOST_REASONS: Final = 10
LONGEST_WAIT: Final = timedelta(days=1)
"""Nobody waits longer; it keeps absurd numbers out of the arithmetic."""
DIGITS_OF_LONGEST_WAIT: Final = 5

MEANINGS: Final = {
    HTTPStatus.OK: None,
    HTTPStatus.UNAUTHORIZED: Outcome.REJECTED,
    HTTPStatus.FORBIDDEN: Outcome.REJECTED,
    HTTPStatus.NOT_FOUND: Outcome.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY: Outcome.INVALID,
    HTTPStatus.TOO_MANY_REQUESTS: Outcome.THROTTLED,
    HTTPStatus.SERVICE_UNAVAILABLE: Outcome.THROTTLED,
}


def meaning(status: int) -> Outcome | None:
    """Return what ``status`` means, None for a 200 that is still to be read.

    Success that is no 200 (204, 206, 101 …) is an answer that shows no connections: malformed. All else that the
    contract does not name, redirects included, is unavailable.
    """
    if status in MEANINGS:
        return MEANINGS[HTTPStatus(status)]
    return Outcome.MALFORMED if status < HTTPStatus.MULTIPLE_CHOICES else Outcome.UNAVAILABLE


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return how long a ``Retry-After`` asks to wait, None where it is missing or says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        digits = text.lstrip("0") or "0"
        return (
            LONGEST_WAIT if len(digits) > DIGITS_OF_LONGEST_WAIT else min(timedelta(seconds=int(digits)), LONGEST_WAIT)
        )
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return min(max(date - now, timedelta(0)), LONGEST_WAIT)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def detail(body: bytes, secret: str) -> str | None:
    """Return what an error's body says to a person: one line, cut, without ``secret``; None where it says nothing."""
    try:
        said = _said(msgspec.json.decode(storable(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = "" if body.lstrip().startswith(b"<") else body.decode(errors="replace")
    return cleaned(said.replace(secret, "***") if secret else said) or None


def cleaned(text: str) -> str:
    """Return ``text`` on one line, without control characters, cut at 150 characters."""
    shown = "".join(each if each.isprintable() else " " for each in text[: 10 * LONGEST_DETAIL])
    return " ".join(shown.split())[:LONGEST_DETAIL]


def _said(answer: Any) -> str:
    """Read ``{"detail": …}``, which is a text, an object, or a list of objects with a ``msg``."""
    said = answer.get("detail", answer) if isinstance(answer, dict) else answer
    return "; ".join(map(_text, said[:MOST_REASONS])) if isinstance(said, list) else _text(said)


def _text(said: Any) -> str:
    if isinstance(said, dict) and isinstance(said.get("msg"), str):
        return str(said["msg"])
    if said is None or isinstance(said, str):
        return said or ""
    return msgspec.json.encode(said).decode()

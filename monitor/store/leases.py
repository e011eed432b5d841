"""Leases on rows: who has one in hand, until when, and the token that a later write is checked against."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import or_

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Table

BITS: Final = 63
FREE: Final[dict[str, Any]] = {"lease": None, "leased_until": None}
"""What a row says that nobody has in hand."""


def lent(now: datetime, lease: timedelta) -> dict[str, Any]:
    """Return what a row says that is taken in hand now; the token is never the same again."""
    return {"lease": secrets.randbits(BITS), "leased_until": now + lease}


def free(table: Table, now: datetime) -> ColumnElement[bool]:
    """Return the condition that nobody has a row in hand, or that its lease has passed."""
    return or_(table.c.leased_until.is_(None), table.c.leased_until <= now)

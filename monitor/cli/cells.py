"""One value as text, fit to be read."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from monitor.cli import moments

Cell = str | int | datetime | None

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def shown(cell: Cell) -> str:
    """Return a cell as text without anything that a terminal obeys; nothing for None."""
    if cell is None:
        return ""
    return moments.plain(cell) if isinstance(cell, datetime) else clean(str(cell))


def clean(text: str, *, keep: str = "") -> str:
    """Return text, perhaps from outside, with a space for control characters, but for those to ``keep``."""
    return _CONTROL.sub(lambda found: "".join(each for each in found[0] if each in keep) or " ", text)

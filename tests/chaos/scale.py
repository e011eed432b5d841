"""How long proofs under fire go on: minutes where every change is tested, hours by `make chaos`."""

from __future__ import annotations

import os
from typing import Final

LONG: Final = bool(os.environ.get("CHAOS"))
"""Whether this is the long form."""


def scaled(short: int, long: int) -> int:
    """Return how much of something is tried."""
    return long if LONG else short

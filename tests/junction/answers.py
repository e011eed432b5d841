"""The vendor's own example answers, and rows made after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.junction import wire

if TYPE_CHECKING:
    from monitor.core.model import Snapshot

_FOLDER = Path(__file__).parent / "answers"
RESPONSE_EXAMPLE = (_FOLDER / "response_example.json").read_bytes()
SCHEMA_EXAMPLE_ROW: dict[str, Any] = json.loads((_FOLDER / "schema_example_row.json").read_bytes())


def row(**changed: Any) -> dict[str, Any]:
    """Return the vendor's example row with some of its keys changed."""
    return SCHEMA_EXAMPLE_ROW | changed


def answer(*rows: Any) -> bytes:
    """Return the body of a 200 with these rows."""
    return json.dumps({"providers": rows}).encode()


def plain(text: str) -> str:
    """Keep an external user id as it is."""
    return text


def shown(*rows: Any) -> Snapshot:
    """Return what an answer with these rows shows."""
    snapshot = wire.read(answer(*rows), plain)
    assert snapshot is not None
    return snapshot

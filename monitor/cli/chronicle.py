"""Transitions as lines, one each, written as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.cli import records, streams
from monitor.cli.cells import clean, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from monitor.core.model import Transition


class Chronicle:
    """Writes transitions: JSON Lines, coloured lines on a terminal, cells between tabs in a pipe."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._console = _console() if streams.on_terminal() and not as_json else None

    def write(self, each: Transition) -> None:
        """Write one transition."""
        if self._json:
            streams.put_record(records.transition(each))
        elif self._console is None:
            streams.put(_cells(each))
        else:
            _print(self._console, each)

    def write_all(self, transitions: Iterable[Transition]) -> None:
        """Write transitions and let the reader have them at once."""
        for each in transitions:
            self.write(each)
        streams.flush()


def _cells(each: Transition) -> str:
    cells = (
        each.observed_at,
        each.target,
        str(each.user_id),
        each.provider,
        each.kind.value,
        each.resource,
        each.previous_status,
        each.status,
        each.error_type,
        each.error_message,
    )
    return "\t".join(shown(cell) for cell in cells) + "\n"


def _console() -> Console:
    from monitor.cli.screen import console  # noqa: PLC0415 - only people at a terminal need it

    return console()


def _print(console: Console, each: Transition) -> None:
    from rich.text import Text  # noqa: PLC0415 - only people at a terminal need it

    from monitor.cli.screen import STYLES  # noqa: PLC0415 - as above

    line = Text.assemble(
        (f"{shown(each.observed_at)}  ", "dim"),
        f"{each.target}  {each.user_id}  ",
        f"{shown(each.provider) or '':<16}  ",
        (f"{each.kind.value:<17}", STYLES.get(each.kind.value, "")),
        f"  {told(each)}",
    )
    console.print(line, soft_wrap=True)


def told(each: Transition) -> str:
    """Return what happened in a few words: ``connected → error: token_refresh_failed (…)``."""
    if each.resource is not None:
        return clean(each.resource)
    parts = [f"{shown(each.previous_status) or '∅'} → {shown(each.status) or '∅'}" if each.provider else ""]
    if each.status == "error":
        parts.append(f": {shown(each.error_type) or 'unspecified'}")
        if each.error_message:
            parts.append(f" ({clean(each.error_message)})")
    if each.baseline:
        parts.append("  first seen")
    return "".join(parts)

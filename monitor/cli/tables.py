"""Rows for people: a table on a terminal, cells between tabs in a pipe. Never cuts an id, never holds all rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Self

from monitor.cli import streams
from monitor.cli.cells import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from monitor.cli.cells import Cell
    from monitor.cli.screen import Pages

PAGE: Final = 500
"""How many rows of a table on a terminal are laid out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    A ``whole`` cell stays on one line. ``ago`` tells how far away a time is. On a terminal a short table leaves out
    columns that are empty, and ``dull`` ones that say the same in every row.
    """

    title: str
    whole: bool = False
    ago: bool = False
    dull: bool = False
    justify: Literal["left", "right"] = "left"


class Table:
    """Takes rows one by one and writes them as they come; used in a ``with`` statement."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        title: str | None = None,
        label: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """Prepare a table: ``title`` stands above it on a terminal, ``label`` begins each of its lines in a pipe."""
        self._label = label
        self._rows: list[Sequence[Cell]] = []
        self._pages = _pages(columns, title, now or datetime.now(UTC)) if streams.on_terminal() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._rows and self._pages is not None:
            self._pages.write(self._rows, last=True)

    def add(self, *cells: Cell) -> None:
        """Add one row, a cell for each column."""
        if self._pages is None:
            said = [shown(cell) for cell in cells]
            streams.put("\t".join(said if self._label is None else [self._label, *said]) + "\n")
            return
        self._rows.append(cells)
        if len(self._rows) > PAGE:
            self._pages.write(self._rows[:PAGE], last=False)
            del self._rows[:PAGE]


def _pages(columns: Sequence[Column], title: str | None, now: datetime) -> Pages:
    from monitor.cli.screen import Pages  # noqa: PLC0415 - only people at a terminal need it

    return Pages(columns, title, now)

"""What a person sees on a terminal: colours, and pages of a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from monitor.cli import moments
from monitor.cli.cells import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.cli.cells import Cell
    from monitor.cli.tables import Column

GAP: Final = 2
LEAST: Final = 10
"""Columns narrower than this are not made for folded text."""
STYLES: Final = {
    "error": "red",
    "errored": "red",
    "error_changed": "red",
    "invalid": "red",
    "disappeared": "yellow",
    "resource_lost": "yellow",
    "user_gone": "yellow",
    "gone": "yellow",
    "paused": "yellow",
    "connected": "green",
    "recovered": "green",
    "reconnected": "green",
    "resource_restored": "green",
    "user_returned": "green",
}


def console() -> Console:
    """Return a console on standard output that takes text as it is."""
    return Console(highlight=False, markup=False, emoji=False)


class Pages:
    """Writes a table page by page under one header. Widths come from the first page; only whole cells widen them."""

    def __init__(self, columns: Sequence[Column], title: str | None, now: datetime) -> None:
        self._columns = columns
        self._title = title
        self._now = now
        self._console = console()
        self._full_times = True
        self._widths: dict[int, int] = {}

    def write(self, rows: Sequence[Sequence[Cell]], *, last: bool) -> None:
        """Write rows; where they are the first and the ``last``, columns that say nothing are left out."""
        first = not self._widths
        if first:
            kept = [each for each in range(len(self._columns)) if not (last and self._is_idle(each, rows))]
            self._lay_out(kept, rows)
            if self._title:
                self._console.print(self._title, style="bold")
        else:
            self._widths |= {each: max(width, self._least(each, rows)) for each, width in self._widths.items()}
        width = max(self._console.width, sum(self._widths.values()) + GAP * len(self._widths))
        self._console.size = ConsoleDimensions(width, self._console.height)
        self._console.print(self._grid(rows, header=first))
        if last and self._title:
            self._console.print()

    def _is_idle(self, index: int, rows: Sequence[Sequence[Cell]]) -> bool:
        said = {row[index] for row in rows}
        return said == {None} or (self._columns[index].dull and len(said) == 1)

    def _lay_out(self, kept: Sequence[int], rows: Sequence[Sequence[Cell]]) -> None:
        """Choose the widths: times in full where they fit, and what room is left to texts that would be folded."""
        self._widths = {each: self._least(each, rows) for each in kept}
        if self._room() < 0:
            self._full_times = False
            self._widths = {each: self._least(each, rows) for each in kept}
        for each in kept:
            more = self._longest(each, rows) - self._widths[each]
            self._widths[each] += max(0, min(more, self._room()))

    def _room(self) -> int:
        return self._console.width - sum(self._widths.values()) - GAP * len(self._widths)

    def _least(self, index: int, rows: Sequence[Sequence[Cell]]) -> int:
        column, longest = self._columns[index], self._longest(index, rows)
        return max(len(column.title), longest if column.whole or column.ago else min(longest, LEAST))

    def _longest(self, index: int, rows: Sequence[Sequence[Cell]]) -> int:
        return max(self._text(index, row[index]).cell_len for row in rows)

    def _grid(self, rows: Sequence[Sequence[Cell]], *, header: bool) -> Table:
        grid = Table(box=None, show_header=header, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
        for each, width in self._widths.items():
            column = self._columns[each]
            grid.add_column(
                column.title.upper(), width=width, no_wrap=column.whole, overflow="fold", justify=column.justify
            )
        for row in rows:
            grid.add_row(*(self._text(each, row[each]) for each in self._widths))
        return grid

    def _text(self, index: int, cell: Cell) -> Text:
        if cell is None:
            return Text("-", style="dim")
        if isinstance(cell, datetime) and self._columns[index].ago:
            away = moments.relative(cell, self._now)
            return Text(f"{moments.plain(cell)} ({away})" if self._full_times else away)
        text = shown(cell)
        return Text(text, style=STYLES.get(text, ""))

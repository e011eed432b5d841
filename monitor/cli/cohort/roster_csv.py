"""Rows out of lines of CSV, each with the number of the line it begins on.

A quoted cell may span lines. A quote that is never closed must not swallow users unseen: where a line that would
continue it reads as a row of its own, or none closes it soon, the line that opened it is the bad one.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELIMITERS: Final = (",", ";", "\t")
LONGEST_CELL: Final = 50
"""How many lines one quoted cell may span."""
_OPEN: Final = "unexpected end of data"


class Line(NamedTuple):
    """One line, its end included; ``text`` is None where it is too long to be read."""

    number: int
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Where the two columns stand. ``client_user_id`` is None where there is no such column."""

    delimiter: str
    user_id: int
    client_user_id: int | None


def header(text: str) -> Header | None:
    """Return what a header line says, None where it names no ``user_id``."""
    for delimiter in DELIMITERS:
        names = [name.strip().casefold() for name in _cells([text], delimiter) or ()]
        if "user_id" in names:
            client = names.index("client_user_id") if "client_user_id" in names else None
            return Header(delimiter=delimiter, user_id=names.index("user_id"), client_user_id=client)
    return None


def rows(
    lines: Iterator[Line], delimiter: str, is_row: Callable[[list[str]], bool]
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row with the number of its first line: its cells, or why there are none.

    Args:
        lines: what follows the header.
        delimiter: between cells.
        is_row: whether cells are certainly a row of their own, and no continuation of a quoted cell.
    """
    waiting: deque[Line] = deque()
    while line := waiting.popleft() if waiting else next(lines, None):
        number, text = line
        if text is None:
            yield number, "too long"
        elif '"' not in text:
            yield number, text.rstrip("\r\n").split(delimiter)
        else:
            cells, taken = _quoted(text, chain(_drained(waiting), lines), delimiter, is_row)
            waiting.extendleft(reversed(taken))
            yield number, cells


def _drained(waiting: deque[Line]) -> Iterator[Line]:
    while waiting:
        yield waiting.popleft()


def _quoted(
    text: str, following: Iterator[Line], delimiter: str, is_row: Callable[[list[str]], bool]
) -> tuple[list[str] | str, list[Line]]:
    """Return the cells of a row that has quotes, or why there are none, and the lines to be given back."""
    pieces, taken = [text], list[Line]()
    while True:
        try:
            return next(csv.reader(pieces, delimiter=delimiter, strict=True)), []
        except csv.Error as error:
            if _OPEN not in str(error):
                return f"not CSV: {error}", taken
        line = next(following, None) if len(taken) < LONGEST_CELL else None
        if line is not None:
            taken.append(line)
        if line is None or line.text is None or is_row(_cells([line.text], delimiter) or []):
            return "a quote is not closed", taken
        pieces.append(line.text)


def _cells(pieces: list[str], delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader(pieces, delimiter=delimiter, strict=True), None)
    except csv.Error:
        return None

"""Reading a list of users from a file: CSV where it begins with a header, else lines of ids or JSON.

Everything streams: a line is read, judged and forgotten. What cannot be read is a value with its line number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from monitor.cli.cohort.roster_csv import DELIMITERS, Header, Line, header, rows
from monitor.errors import UsageError
from monitor.ports import LONGEST_CLIENT_USER_ID, ListedUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LONGEST_LINE: Final = 65_536
SAMPLE: Final = 20
"""How many lines are looked at to tell a list from a table without a header."""

_BOM: Final = b"\xef\xbb\xbf"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_LONGEST_QUOTE: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """One line that names no user, and why."""

    number: int
    reason: str


class _Object(msgspec.Struct):
    user_id: str
    client_user_id: str | int | None = None


_JSON: Final = msgspec.json.Decoder(str | _Object)


def user_id(text: str) -> UUID | None:
    """Return the id that ``text`` spells in the usual form with hyphens, None where it does not."""
    return UUID(text) if _UUID.fullmatch(text) else None


def read(stream: BinaryIO, name: str) -> Iterator[ListedUser | BadLine]:
    """Yield what each line of ``stream`` comes to. Blank lines, and comments between bare ids, are left out.

    Raises:
        UsageError: the content is a table whose header names no ``user_id``.
    """
    lines = _lines(stream)
    sample = list(islice(lines, SAMPLE))
    everything = chain(sample, lines)
    first = next((line for line in sample if _says_something(line)), None)
    columns = header(first.text) if first and first.text else None
    if first is not None and columns is not None:
        return _from_csv((line for line in everything if line.number > first.number), columns)
    if first is not None and not any(isinstance(_from_line(line), ListedUser) for line in sample):
        _refuse_table(first, name)
    return filter(None, map(_from_line, everything))


def _refuse_table(first: Line, name: str) -> None:
    text = (first.text or "").strip()
    is_table = name.endswith(".csv") or any(delimiter in text for delimiter in DELIMITERS)
    if is_table and not text.startswith("{"):
        raise UsageError(f"{name}: line {first.number}: expected a header with a column user_id, found {quote(text)}")


def quote(text: str) -> str:
    """Return what a person typed, quoted, cut, and free of what a terminal would obey."""
    cut = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
    return repr(cut.encode("utf-8", "backslashreplace").decode())


def _lines(stream: BinaryIO) -> Iterator[Line]:
    number = 0
    while raw := stream.readline(LONGEST_LINE):
        number += 1
        whole = raw.endswith(b"\n") or not (len(raw) == LONGEST_LINE and _skip_rest(stream))
        if number == 1:
            raw = raw.removeprefix(_BOM)
        yield Line(number, raw.decode("utf-8", "surrogateescape") if whole else None)


def _skip_rest(stream: BinaryIO) -> bool:
    """Read up to the end of the line; return whether there was anything left of it."""
    skipped = False
    while rest := stream.readline(LONGEST_LINE):
        skipped = True
        if rest.endswith(b"\n"):
            break
    return skipped


def _says_something(line: Line) -> bool:
    return line.text is None or not _is_silent(line.text)


def _is_silent(text: str) -> bool:
    stripped = text.strip()
    return not stripped or stripped.startswith("#")


def _from_line(line: Line) -> ListedUser | BadLine | None:
    """Read a line that is an id, a JSON string or a JSON object; None where it says nothing."""
    number, text = line
    if text is None:
        return _too_long(number)
    stripped = text.strip()
    if stripped.startswith(("{", '"')):
        return _from_json(number, stripped)
    return None if _is_silent(stripped) else _user(number, stripped, None)


def _from_json(number: int, text: str) -> ListedUser | BadLine:
    try:
        row = _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        return BadLine(number=number, reason=str(error))
    return _user(number, row, None) if isinstance(row, str) else _user(number, row.user_id, row.client_user_id)


def _from_csv(lines: Iterator[Line], columns: Header) -> Iterator[ListedUser | BadLine]:
    where, client_where = columns.user_id, columns.client_user_id

    def is_row(cells: list[str]) -> bool:
        return len(cells) > where and user_id(cells[where].strip()) is not None

    for number, cells in rows(lines, columns.delimiter, is_row):
        if isinstance(cells, str):
            yield BadLine(number=number, reason=cells)
        elif len(cells) > where:
            has_client = client_where is not None and len(cells) > client_where
            client = cells[client_where] if has_client and client_where is not None else None
            if cells[where].strip() or not _is_blank(cells):
                yield _user(number, cells[where].strip(), client)
        elif not _is_blank(cells):
            yield BadLine(number=number, reason="no cell for user_id")


def _is_blank(cells: list[str]) -> bool:
    return not any(cell.strip() for cell in cells)


def _user(number: int, text: str, client: str | int | None) -> ListedUser | BadLine:
    found = user_id(text)
    if found is None:
        return BadLine(number=number, reason=f"not a UUID: {quote(text)}" if text else "user_id is empty")
    name = None if client is None else str(client).strip()
    if name and not name.isascii() and _is_torn(name):
        return BadLine(number=number, reason="client_user_id is not UTF-8")
    if name and "\0" in name:
        return BadLine(number=number, reason="client_user_id contains a NUL character")
    if name and len(name) > LONGEST_CLIENT_USER_ID:
        return BadLine(number=number, reason=f"client_user_id is longer than {LONGEST_CLIENT_USER_ID} characters")
    return ListedUser(user_id=found, client_user_id=name or None)


def _is_torn(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _too_long(number: int) -> BadLine:
    return BadLine(number=number, reason=f"longer than {LONGEST_LINE:,} bytes")

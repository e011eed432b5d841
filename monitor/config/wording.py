"""How keys and values stand in a fault: on one line, short, and without keys of Junction."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_VALUE: Final = 60
_PLAIN_KEY: Final = re.compile(r"[^\s.:'\"]{1,80}")
_JUNCTION_KEY: Final = re.compile(r"(?<![A-Za-z0-9])([ps]k_(?:us|eu)_)[^\s,;:.)'\"]+")
_FEW: Final = 12
NEAR: Final = 0.7


def dotted(path: Sequence[str]) -> str:
    """Return ``targets.acme.region``; a part that is no plain word is quoted."""
    return ".".join(each if _PLAIN_KEY.fullmatch(each) else repr(_cut(each)) for each in path)


def described(value: Any) -> str:
    """Return a value for a person: a text in quotes and cut, of a list or mapping only what it is."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return repr(_cut(value))
        case int() | float():
            return _cut(str(value))
        case _:
            return sort_of(value)


def sort_of(value: Any) -> str:
    """Return what sort of value this is, and nothing of the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "a mapping"


def hint(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean 'interval'?`` where one of ``names`` is near, else what there is."""
    known = list(names)
    near = get_close_matches(name.lower(), known, n=1, cutoff=NEAR)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; expected one of: {', '.join(known)}" if 0 < len(known) <= _FEW else ""


def tidy(line: str) -> str:
    """Return the line without anything that ends it or moves the cursor, and without keys of Junction."""
    masked = _JUNCTION_KEY.sub(r"\1**********", line)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in masked)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"

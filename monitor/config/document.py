"""One YAML file as plain values, without what makes YAML dangerous or surprising.

Scalars are read as YAML 1.2 does: ``no``, ``on`` and ``1:30`` are text. Anchors, aliases, tags and a key given twice
are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from monitor.config.wording import dotted, sort_of, tidy
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from yaml.events import Event

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 16

_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says. ``repeated`` has a line for every key that it gives twice."""

    values: dict[str, Any]
    repeated: tuple[str, ...] = ()


def read(path: Path) -> Document:
    """Read the mapping in a file; an empty file is an empty one.

    Raises:
        ConfigurationError: the file cannot be read as one.
    """
    try:
        return _Reader(_text(path)).document()
    except _RefusedError as refused:
        fault = str(refused)
    except yaml.MarkedYAMLError as error:
        fault = f"{_at(error.problem_mark)}: expected valid YAML: {error.problem}"
    except yaml.reader.ReaderError as error:
        fault = f"expected valid YAML: got the character U+{error.character:04X}, which it does not allow"
    except (ValueError, OverflowError):
        fault = "expected valid YAML: got an escape that stands for no character"
    raise ConfigurationError([tidy(f"{path}: {fault}")])


def plain(text: str) -> Any:
    """Return what an unquoted scalar is: null, true or false, a number, or text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _RefusedError("expected a file of 1 MiB or less")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].splitlines()
        raise _RefusedError(f"line {max(len(before), 1)}: expected UTF-8 text") from None
    except OSError as error:
        raise _RefusedError(f"expected a readable file: {error.strerror}") from None
    except ValueError:
        raise _RefusedError("expected the path of a file") from None


class _RefusedError(Exception):
    """A file that is not taken; the text says what was expected."""


class _Reader:
    """Builds values from the parser's events, so that nothing is built that was not looked at first."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._repeated: list[str] = []

    def document(self) -> Document:
        values: Any = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if values is not None:
                    raise _RefusedError(f"{_at(event.start_mark)}: expected one document, got another")
                values = self._node(next(self._events), ())
                values = {} if values is None else values
        if values is not None and not isinstance(values, dict):
            raise _RefusedError(f"expected a mapping of keys to values, got {sort_of(values)}")
        return Document(values=values or {}, repeated=tuple(self._repeated))

    def _node(self, event: Event, path: tuple[str, ...]) -> Any:
        where = _at(event.start_mark)
        if getattr(event, "anchor", None) is not None:
            raise _RefusedError(f"{where}: expected a value, got an anchor or an alias")
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(f"{where}: expected a value, got a tag")
        if len(path) > MAX_DEPTH:
            raise _RefusedError(f"{where}: expected no more than {MAX_DEPTH} levels")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, ScalarEvent)  # noqa: S101 - nothing else begins a value
        return plain(event.value) if event.implicit[0] else event.value

    def _mapping(self, path: tuple[str, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key, line = self._key(event), _line(event.start_mark)
            if key in values:
                where = f"{dotted((*path, key))}: expected once"
                self._repeated.append(f"{where}, got it on line {first[key]} and line {line}")
            first.setdefault(key, line)
            values[key] = self._node(next(self._events), (*path, key))
        return values

    def _key(self, event: Event) -> str:
        if isinstance(event, ScalarEvent) and event.anchor is None and event.tag is None:
            return event.value
        raise _RefusedError(f"{_at(event.start_mark)}: expected a key in one word")

    def _sequence(self, path: tuple[str, ...]) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            values.append(self._node(event, (*path, str(len(values)))))
        return values


def _line(mark: Any) -> int:
    return int(mark.line) + 1


def _at(mark: Any) -> str:
    return f"line {_line(mark)}, column {mark.column + 1}"

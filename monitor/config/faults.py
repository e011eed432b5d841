"""One line for every fault: where the value stands, its key, what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.config.environment import variable
from monitor.config.expectation import EXPECTED
from monitor.config.keys import is_text, is_value, names_at, types_at, untagged
from monitor.config.wording import described, dotted, hint, sort_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from monitor.config.environment import Variables

_EXPECTED: Final[Mapping[str, str]] = {
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "finite_number": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "missing": "a value",
    "model_attributes_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "string_unicode": "text in Unicode",
    "too_short": "one or more",
    "string_type": "a string (in quotes where it looks like something else)",
}
_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "{} or less"),
}
_UNTYPED: Final = frozenset({"union_tag_invalid", "union_tag_not_found"})
"""Of several sections one may stand here, and its ``type`` does not say which."""
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the values came from: a file, if there is one, and the variables that lie over it."""

    file: str | None
    document: Mapping[str, Any]
    variables: Variables

    def locate(self, path: tuple[str, ...]) -> str:
        """Return where a person finds ``path``, or would add it: the file and key, or the variable."""
        if path in self.variables.names:
            return f"environment: {self.variables.names[path]}"
        for length in range(len(path), 0, -1):
            if _at(self.document, path[:length]) is not _ABSENT:
                return f"{self.file}: {dotted(path)}"
            if _at(self.variables.values, path[:length]) is not _ABSENT:
                return f"environment: {variable(path)}"
        return f"{self.file or 'environment'}: {dotted(path)}"

    def value(self, path: tuple[str, ...]) -> Any:
        """Return what is written at ``path``."""
        found = _at(self.variables.values, path)
        return _at(self.document, path) if found is _ABSENT else found


def lines(error: ValidationError, sources: Sources) -> Iterator[str]:
    """Yield a line for each fault, in the order of the settings."""
    for each in error.errors(include_url=False, include_input=False):
        path, text = _told(each, sources)
        yield f"{sources.locate(path)}: {text}"


def _told(error: ErrorDetails, sources: Sources) -> tuple[tuple[str, ...], str]:
    tagged = tuple(str(part) for part in error["loc"])
    path = untagged(tagged)
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        return path, f"unknown key{hint(path[-1], names_at(tagged[:-1]))}"
    if path[-1] == "[key]":
        return path[:-1], _of_name(error["type"], context)
    if error["type"] in _UNTYPED:
        path = (*path, "type")
        return path, f"expected {' or '.join(types_at(tagged))}, got {_got(path, sources)}"
    if error["type"] == EXPECTED:
        got = context["got"] or _got(path, sources)
        return path[:-1] if context["of_section"] else path, f"expected {context['text']}, got {got}"
    got = "an empty list" if error["type"] == "too_short" else _got(path, sources)
    return path, f"expected {_expected(error['type'], context)}, got {got}"


def _of_name(kind: str, context: Mapping[str, Any]) -> str:
    if kind == EXPECTED:
        return f"expected {context['text']}, got {context['got']}"
    return "expected a name of a-z, 0-9 and _ that begins with a letter"


def _expected(kind: str, context: Mapping[str, Any]) -> str:
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        return text.format(f"{context[name]:.12g}")  # no limit has more digits
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "")
    return _EXPECTED[kind]


def _got(path: tuple[str, ...], sources: Sources) -> str:
    """Return what is written at ``path``; where a secret may stand, or a whole section, only what sort it is."""
    value = sources.value(path)
    if value is _ABSENT:
        return "nothing"
    return sort_of(value) if is_text(path) or not is_value(path) else described(value)


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if isinstance(values, list) and key.isdecimal() and int(key) < len(values):
            values = values[int(key)]
        elif isinstance(values, dict) and key in values:
            values = values[key]
        else:
            return _ABSENT
    return values

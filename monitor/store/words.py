"""Vendor text as every database can hold it: NUL and lone surrogates become the replacement character."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

T = TypeVar("T")

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


def storable(value: T) -> T:
    """Return ``value`` with every text inside it fit to be stored; values, mappings and tuples are gone through."""
    cleaned: Any = _cleaned(value)
    return cleaned  # type: ignore[no-any-return]  # _cleaned keeps the type of what it is given


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub(_REPLACEMENT, value) if _UNSTORABLE.search(value) else value
    if isinstance(value, tuple):
        return tuple(_cleaned(each) for each in value)
    if isinstance(value, Counter):
        return _recounted(value)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _cleaned(getattr(value, each.name)) for each in fields(value)})
    return value


def _recounted(counts: Counter[Any]) -> Counter[Any]:
    """Two labels may become one; their amounts add up."""
    cleaned: Counter[Any] = Counter()
    for key, amount in counts.items():
        cleaned[_cleaned(key)] += amount
    return cleaned

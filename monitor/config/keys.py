"""What may stand where: the settings' own classes, read as a tree of keys."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel

from monitor.config.settings import Config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def kind_at(path: Sequence[str]) -> Any | None:
    """Return the type of what stands at ``path``, None where nothing may."""
    kind: Any = Config
    for key in path:
        kind = _below(kind, key)
        if kind is None:
            return None
    return kind


def names_at(path: Sequence[str]) -> Iterable[str]:
    """Return the keys that may stand in the section at ``path``; none where any may, or it is no section."""
    kind = kind_at(path)
    return tuple(kind.model_fields) if _is_section(kind) else ()


def values_like(model: Sequence[str], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value below ``path``; names that are free are those of ``model`` at their place."""
    kind = kind_at(path)
    if get_origin(kind) is dict:
        free = model[len(path)] if len(model) > len(path) else ""
        yield from values_like(model, (*path, free or "name"))
    elif _is_section(kind):
        for name in kind.model_fields:
            yield from values_like(model, (*path, name))
    else:
        yield path


def is_value(path: Sequence[str]) -> bool:
    """Return whether a value stands at ``path``, and not a section, an open mapping, or nothing."""
    kind = kind_at(path)
    return kind is not None and not _is_section(kind) and get_origin(kind) is not dict


def is_text(path: Sequence[str]) -> bool:
    """Return whether any text may stand at ``path``, so that it must be taken as it is, and may be secret."""
    kind = kind_at(path)
    return kind is str or (isinstance(kind, type) and kind.__module__.endswith(".secret"))


def is_word(path: Sequence[str]) -> bool:
    """Return whether one of a few words stands at ``path``."""
    return get_origin(kind_at(path)) is Literal


def _below(kind: Any, key: str) -> Any | None:
    if _is_section(kind):
        field = kind.model_fields.get(key)
        return None if field is None else _bare(field.annotation)
    return _bare(get_args(kind)[1]) if get_origin(kind) is dict else None


def _bare(kind: Any) -> Any:
    """Return the type without null and without what is only said about it."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return _bare(next(each for each in get_args(kind) if each is not type(None)))
    return kind


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

"""What may stand where: the settings' own classes, read as a tree of keys."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel

from monitor.config.settings import Config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def kind_at(path: Sequence[str]) -> Any | None:
    """Return the type of what stands at ``path``, None where nothing may.

    Where one of several sections may stand it is all of them; ``path`` may go on with the ``type`` of one.
    """
    kind: Any = Config
    for key in path:
        kind = _below(kind, key)
        if kind is None:
            return None
    return kind


def names_at(path: Sequence[str]) -> Iterable[str]:
    """Return the keys that may stand in the section at ``path``; none where any may, or it is no section."""
    return tuple(dict.fromkeys(name for each in _sections(kind_at(path)) for name in each.model_fields))


def types_at(path: Sequence[str]) -> Iterable[str]:
    """Return what the ``type`` of the section at ``path`` may be, where it tells sections apart."""
    return _types(kind_at(path))


def untagged(path: Sequence[str]) -> tuple[str, ...]:
    """Return ``path`` without the types of sections in it, as a person writes it."""
    kept: list[str] = []
    for place, key in enumerate(path):
        if not (kept and key in _types(kind_at(path[:place]))):
            kept.append(key)
    return tuple(kept)


def values_like(model: Sequence[str], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value below ``path``; names that are free are those of ``model`` at their place."""
    kind = kind_at(path)
    if get_origin(kind) is dict:
        free = model[len(path)] if len(model) > len(path) else ""
        yield from values_like(model, (*path, free or "name"))
    elif _sections(kind):
        for name in names_at(path):
            yield from values_like(model, (*path, name))
    else:
        yield path


def is_value(path: Sequence[str]) -> bool:
    """Return whether a value stands at ``path``, and not a section, an open mapping, or nothing."""
    kind = kind_at(path)
    return kind is not None and not _sections(kind) and get_origin(kind) is not dict


def is_text(path: Sequence[str]) -> bool:
    """Return whether any text may stand at ``path``, so that it must be taken as it is, and may be secret."""
    kind = kind_at(path)
    return kind is str or (isinstance(kind, type) and kind.__module__.endswith(".secret"))


def is_word(path: Sequence[str]) -> bool:
    """Return whether one of a few words stands at ``path``."""
    return get_origin(kind_at(path)) is Literal


def is_list(path: Sequence[str]) -> bool:
    """Return whether several values stand at ``path``."""
    return get_origin(kind_at(path)) is list


def _below(kind: Any, key: str) -> Any | None:
    if key in (types := _types(kind)):
        return types[key]
    for each in _sections(kind):
        if (field := each.model_fields.get(key)) is not None:
            return _bare(field.annotation)
    return _bare(get_args(kind)[-1]) if get_origin(kind) in {dict, list} else None


def _bare(kind: Any) -> Any:
    """Return the type without null and without what is only said about it; sections that may stand alike remain."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        kinds = [each for each in get_args(kind) if each is not type(None)]
        return kind if len(kinds) > 1 and all(map(_is_section, kinds)) else _bare(kinds[0])
    return kind


def _sections(kind: Any) -> tuple[type[BaseModel], ...]:
    """Return the sections of which one stands where ``kind`` may; none where no section may."""
    if _is_section(kind):
        return (kind,)
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else ()


def _types(kind: Any) -> dict[str, type[BaseModel]]:
    """Return the sections that their ``type`` tells apart, by it."""
    sections = _sections(kind)
    return {get_args(each.model_fields["type"].annotation)[0]: each for each in sections} if len(sections) > 1 else {}


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

"""The core decides and nothing else: no clock, no input or output, no logging, no randomness."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import monitor.core

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED: Final = {
    "__future__",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "hashlib",
    "math",
    "re",
    "typing",
    "uuid",
}
CLOCKS: Final = {"now", "utcnow", "today"}
RANDOM_IDS: Final = {"uuid1", "uuid4", "getnode"}
FORBIDDEN_CALLS: Final = {"open", "print", "input", "exec", "eval", "__import__", "hash"}
MODULES: Final = sorted(Path(monitor.core.__path__[0]).rglob("*.py"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the full name of each module that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level or node.module is None else node.module


def called(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield the last name of each call, and whether it is called on something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, False


def names(tree: ast.Module) -> set[str]:
    """Return every name that is taken out of a module."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {each.name for node in found for each in node.names}


@pytest.fixture(params=MODULES, ids=lambda path: path.stem)
def tree(request: pytest.FixtureRequest) -> ast.Module:
    """Return a module of the core as its syntax tree."""
    return ast.parse(Path(request.param).read_text(encoding="utf-8"))


def test_the_core_imports_only_values(tree: ast.Module) -> None:
    """Nothing but a short list of the standard library, and the core itself."""
    foreign = {each for each in imported(tree) if each.split(".")[0] not in ALLOWED}
    assert all(each == "monitor.core" or each.startswith("monitor.core.") for each in foreign)


def test_the_core_asks_no_clock_and_draws_no_lots(tree: ast.Module) -> None:
    """``now`` is an argument; ids are derived."""
    assert not {name for name, on_something in called(tree) if on_something} & (CLOCKS | RANDOM_IDS)
    assert not names(tree) & (CLOCKS | RANDOM_IDS)


def test_the_core_reads_and_writes_nothing(tree: ast.Module) -> None:
    """No files, no printing, and no ``hash``, which differs from process to process."""
    assert not {name for name, on_something in called(tree) if not on_something} & FORBIDDEN_CALLS


def test_the_core_is_where_it_is_looked_for() -> None:
    """The walk above met every module."""
    assert {each.stem for each in MODULES} >= {"model", "diff", "alerting", "judge", "tally", "cadence", "wording"}

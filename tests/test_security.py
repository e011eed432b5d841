"""SECURITY.md names tests that are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_fault_of_the_world_has_a_test_that_exists() -> None:
    """The last column of the table leads to files."""
    rows = [line for line in TEXT.split("## Faults of the world")[1].splitlines() if line.startswith("| ")]
    named = [re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1]) for row in rows[1:]]
    assert len(named) >= 30
    for each in named:
        assert each
        folder = ROOT / Path(each[0]).parent
        for path in each:
            assert (ROOT / path).exists() or (folder / path).exists(), path


def test_every_proof_under_fire_is_in_the_table() -> None:
    """And none is forgotten."""
    for each in (ROOT / "tests" / "chaos").glob("test_*.py"):
        assert each.name in TEXT


def test_every_direct_dependency_has_its_reason() -> None:
    """A line each in the README, and none too many."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("| package | is there because |")[1]
    given = re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE)
    assert given == sorted(re.split(r"[\[>=<]", each)[0] for each in wanted)

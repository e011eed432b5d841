"""Every bad configuration is a file, and beside it stand the lines that a person then reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import load
from monitor.errors import ConfigurationError

BAD = Path(__file__).parent / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file_is_refused_with_a_line_for_every_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are exactly those of the text file, in its order, twice the same."""
    monkeypatch.chdir(BAD)
    wanted = Path(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    for _ in range(2):
        with pytest.raises(ConfigurationError) as refused:
            load(Path(f"{name}.yaml"), {})
        assert list(refused.value.faults) == wanted


def test_every_expectation_belongs_to_a_bad_file() -> None:
    """No text file is left over from a case that is gone."""
    assert sorted(path.stem for path in BAD.glob("*.txt")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_line_names_the_file(name: str) -> None:
    """A person who has several files knows which one to mend."""
    for line in (BAD / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith(f"{name}.yaml: ")

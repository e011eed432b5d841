"""The program, a terminal and a pipe."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from typer.testing import CliRunner, Result

from monitor.cli.commands import build
from monitor.cli.session import opened
from monitor.config import load
from tests.cli.worlds import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = """\
targets:
  acme: {base_url: "http://127.0.0.1:9", api_key: sk_us_0123456789}
database: {url: "sqlite:///monitor.db"}
"""


class Run(Protocol):
    """Runs the program in this process."""

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> Result:
        """Return what came of ``monitor ARGS``."""
        ...


class Spawn(Protocol):
    """Starts the program as a process of its own."""

    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Return ``monitor ARGS`` with pipes."""
        ...


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory that holds a configuration with one target, and nothing of it in the environment."""
    for name in list(os.environ):
        if name.startswith("MONITOR_") or name == "JUNCTION_API_KEY":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def run(place: Path) -> Run:
    """Run the program in this process; anything unexpected is raised."""
    del place

    def invoke(*args: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(build(), args, input=stdin, prog_name="monitor", catch_exceptions=False)

    return invoke


@pytest.fixture
def filled(place: Path) -> Path:
    """Put a small world into the real database of the configuration."""
    config = load(place / "config.yaml", {})

    async def go() -> None:
        async with opened(config) as store:
            await fill(store)

    asyncio.run(go())
    return place


@pytest.fixture
def spawn(place: Path) -> Spawn:
    """Start the program as a process of its own."""

    def start(*args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "monitor", *args],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


class Screen(io.TextIOWrapper):
    """Standard output that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="\n")

    def isatty(self) -> bool:
        """Return that somebody looks at it."""
        return True

    def shows(self) -> str:
        """Return all that was written so far."""
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return a terminal of 100 columns without colours, to which standard output is to be redirected."""
    for name, value in {"COLUMNS": "100", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    return Screen()

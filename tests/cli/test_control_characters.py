"""Vendor text on a terminal: nothing in it is obeyed, whichever command shows it."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import redirect_stdout
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
import structlog

from monitor.cli import streams
from monitor.cli.session import opened
from monitor.config import load
from monitor.core.model import Connection
from monitor.core.policy import Policy
from monitor.evaluator import Evaluator
from tests.cli.worlds import NOW, USER, World
from tests.poller.world import Recorded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run, Screen

EVIL: Final = "a\x1b[2Jb\x9b31mc\x07d\u202ee\nfake line\tf"
OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Controls, but for the newline and the tab that tables are made of."""
COMMANDS: Final = (
    ("explain", str(USER)),
    ("status",),
    ("status", "--user", str(USER)),
    ("history", str(USER)),
    ("history", str(USER), "--at", "2026-11-24T03:15:02Z"),
    ("transitions", "--since", "2020-01-01"),
    ("alerts", "--all"),
    ("backtest", "--policy", "same.yaml", "--since", "2026-11-24", "--until", "2026-11-25"),
)
WITH_JSON: Final = tuple(each for each in COMMANDS if each[0] != "explain")


@pytest.fixture
def poisoned(place: Path) -> Path:
    """Store a user whose connection has control characters in every word, and then other ones."""
    config = load(place / "config.yaml", {})
    healthy = Connection(provider=EVIL, status=EVIL, external_user_id=EVIL, resources={EVIL: "available"})
    broken = Connection(
        provider=EVIL,
        status="error",
        error_type=EVIL,
        error_message=EVIL,
        external_user_id=EVIL,
        resources={EVIL: EVIL},
    )

    async def go() -> None:
        async with opened(config) as store:
            world = World(store)
            await world.register(USER)
            await world.see(USER, healthy, at=NOW - timedelta(minutes=30))
            await world.see(USER, broken, at=NOW)
            evaluator = Evaluator(
                alerts=store.alerts,
                policy=Policy(),
                sinks=["log"],
                metrics=Recorded(),
                log=structlog.get_logger(),
                clock=lambda: NOW,
            )
            await evaluator.decide()

    (place / "same.yaml").write_text("{}\n")
    asyncio.run(go())
    return place


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_gets_no_control_characters(run: Run, command: tuple[str, ...]) -> None:
    """They are spaces, and no vendor text begins a line of its own."""
    result = run(*command)
    assert result.exit_code == 0
    assert not OBEYED.search(result.output)
    assert not re.search(r"^fake line", result.output, re.MULTILINE)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_gets_no_control_characters(run: Run, screen: Screen, command: tuple[str, ...]) -> None:
    """This one shows no colours either."""
    with redirect_stdout(screen):
        run(*command)
    assert not OBEYED.search(screen.shows())


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("command", WITH_JSON, ids=" ".join)
def test_json_holds_no_control_characters_not_even_escaped(run: Run, command: tuple[str, ...]) -> None:
    """Whoever prints a value of it is as safe as one who reads a table."""
    lines = run(*command, "--json").stdout.splitlines()
    assert lines
    for line in lines:
        assert not OBEYED.search(line)
        assert not re.search(r"\\(?:u00[01]|[nt])", json.dumps(json.loads(line)))


def test_words_for_people_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines stay lines."""
    streams.note("first \x1b[31mline\nsecond\x9b line")
    assert capsys.readouterr().err == "first  [31mline\nsecond  line\n"

"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from monitor.cli.tables import PAGE, Column, Table

if TYPE_CHECKING:
    import pytest

    from monitor.cli.cells import Cell
    from tests.cli.conftest import Screen

NOW = datetime(2026, 11, 24, 3, 15, 2, tzinfo=UTC)
ID = "0b8e1e6e-6a9b-4f4e-9a0e-1f1f1f1f1f1f"
COLUMNS = (Column(title="user", whole=True), Column(title="seen", ago=True), Column(title="note"))


def _fill(*rows: tuple[Cell, ...], on: Screen | None = None, label: str | None = None) -> None:
    with redirect_stdout(on or sys.stdout), Table(COLUMNS, title="Users", label=label, now=NOW) as table:
        for row in rows:
            table.add(*row)


def test_a_terminal_gets_a_title_a_header_and_distances(screen: Screen) -> None:
    """What is absent is a dash."""
    _fill((ID, NOW - timedelta(minutes=3), "a note"), (ID, None, None), on=screen)
    lines = [line.rstrip() for line in screen.shows().splitlines()]
    assert lines[0] == "Users"
    assert lines[1].split() == ["USER", "SEEN", "NOTE"]
    assert lines[2] == f"{ID}  2026-11-24 03:12:02Z (3 min ago)  a note"
    assert lines[3].split() == [ID, "-", "-"]


def test_a_narrow_terminal_never_cuts_an_id(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long words are folded instead, and nothing of them is lost."""
    monkeypatch.setenv("COLUMNS", "20")
    _fill((ID, None, "x" * 200), on=screen)
    assert ID in screen.shows()
    assert screen.shows().count("x") == 200


def test_a_long_table_is_written_in_pages_under_one_header(screen: Screen) -> None:
    """So that it needs no memory for all of its rows."""
    _fill(*((ID, None, str(number)) for number in range(2 * PAGE + 1)), on=screen)
    lines = screen.shows().splitlines()
    assert len([line for line in lines if ID in line]) == 2 * PAGE + 1
    assert sum("USER" in line for line in lines) == 1


def test_a_short_table_leaves_out_what_says_nothing(screen: Screen) -> None:
    """Empty columns, and dull ones that are the same in every row."""
    columns = (Column(title="target", dull=True), Column(title="user"), Column(title="reason"))
    with redirect_stdout(screen), Table(columns) as table:
        table.add("acme", "a", None)
        table.add("acme", "b", None)
    assert screen.shows().split() == ["USER", "a", "b"]


def test_times_are_told_as_distances_where_room_is_scarce(screen: Screen) -> None:
    """The whole time is in the pipe and in JSON."""
    columns = (Column(title="user", whole=True), Column(title="seen", ago=True), Column(title="due", ago=True))
    with redirect_stdout(screen), Table(columns, now=NOW) as table:
        table.add(ID, NOW - timedelta(minutes=3), NOW + timedelta(hours=3))
    assert screen.shows().split("\n")[1].split(ID)[1].split() == ["3", "min", "ago", "in", "3", "h"]


def test_an_empty_table_is_nothing_at_all(screen: Screen) -> None:
    """Not even its title."""
    _fill(on=screen)
    assert screen.shows() == ""


def test_a_pipe_gets_cells_between_tabs(capfd: pytest.CaptureFixture[str]) -> None:
    """No header, no colour, nothing cut, and the label first."""
    _fill((ID, NOW, "x" * 300), (ID, None, 5), label="users")
    assert capfd.readouterr().out == f"users\t{ID}\t2026-11-24 03:15:02Z\t{'x' * 300}\nusers\t{ID}\t\t5\n"


def test_words_from_outside_cannot_steer_a_terminal(screen: Screen) -> None:
    """Control characters become blanks, and markup is only text."""
    _fill((ID, None, "\x1b[31mred\u202e [bold]b[/bold]\n"), on=screen)
    assert " [31mred  [bold]b[/bold]" in screen.shows()
    assert "\x1b" not in screen.shows()

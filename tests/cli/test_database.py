"""``monitor db``, and what happens where the schema is not as expected."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


def _by_hand(place: Path) -> None:
    config = place / "config.yaml"
    config.write_text(config.read_text().replace('monitor.db"', 'monitor.db", auto_migrate: false'))


def test_the_schema_goes_up_and_down(run: Run) -> None:
    """Each command says where it is afterwards."""
    assert run("db", "current").stdout == "base\n"
    up = run("db", "upgrade")
    assert (up.exit_code, up.stdout) == (0, "")
    head = run("db", "current").stdout.strip()
    assert up.stderr == f"the schema is at {head}\n"
    assert run("db", "check").exit_code == 0
    assert run("db", "downgrade", "base").stderr == "the schema is at base\n"
    assert run("db", "current").stdout == "base\n"


def test_counts_that_are_wrong_are_a_line_each_until_they_are_repaired(run: Run, place: Path) -> None:
    """The check fails and says what to type; after the repair all is well."""
    run("cohort", "add", str(UUID(int=1)), str(UUID(int=2)))
    with closing(sqlite3.connect(place / "monitor.db")) as connection, connection:
        connection.execute("UPDATE counts SET value = 5 WHERE \"count\" = 'users'")
    checked = run("db", "check")
    assert checked.exit_code == 1
    line, advice = checked.stderr.splitlines()
    assert line.startswith("counts: ")
    assert line.endswith(" users active: 5 kept, 2 counted")
    assert advice == "monitor: the counts are wrong; run: monitor db check --repair"
    repaired = run("db", "check", "--repair")
    assert (repaired.exit_code, repaired.stderr.splitlines()[0]) == (0, line)
    again = run("db", "check")
    assert (again.exit_code, again.stderr.endswith("; the counts are right\n")) == (0, True)


def test_a_schema_that_is_not_at_head_fails_the_check(run: Run) -> None:
    """With the command to type."""
    result = run("db", "check")
    assert result.exit_code == 1
    assert "monitor db upgrade" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_revision_is_one_line(run: Run) -> None:
    """Not a traceback."""
    result = run("db", "upgrade", "nonsense")
    assert result.exit_code in {1, 2}
    assert len(result.stderr.splitlines()) == 1
    assert "nonsense" in result.stderr


def test_sqlite_is_brought_to_head_by_itself(run: Run) -> None:
    """A newcomer needs no extra step."""
    assert run("cohort", "list").exit_code == 0
    assert run("db", "check").exit_code == 0


def test_a_database_that_is_migrated_by_hand_is_left_alone(run: Run, place: Path) -> None:
    """Commands say what to type and fail."""
    _by_hand(place)
    result = run("status")
    assert result.exit_code == 1
    assert "monitor db upgrade" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert run("db", "upgrade").exit_code == 0
    assert run("status").exit_code == 0


def test_a_database_that_cannot_be_opened_is_one_line(run: Run, place: Path) -> None:
    """It names what does not work."""
    config = place / "config.yaml"
    config.write_text(config.read_text().replace("monitor.db", "missing/folder/monitor.db"))
    for command in (["status"], ["db", "current"], ["db", "upgrade"]):
        result = run(*command)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1

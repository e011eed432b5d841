"""``monitor cohort`` against a real database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from monitor.cli.cohort import importing
from tests.cli.worlds import OTHER, UNKNOWN, USER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

A, B = str(UUID(int=1)), str(UUID(int=2))


def _listed(run: Run) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in run("cohort", "list", "--json").stdout.splitlines()]
    return {row["user_id"]: row for row in rows}


def test_added_users_are_listed(run: Run) -> None:
    """Each once, however often it was named."""
    first, again = run("cohort", "add", A, B, A), run("cohort", "add", A)
    assert (first.exit_code, first.stdout, first.stderr) == (0, "", "added 2 users to acme: 2 new, 0 known\n")
    assert again.stderr == "added 1 user to acme: 0 new, 1 known\n"
    assert list(_listed(run)) == [A, B]


def test_one_bad_id_keeps_all_from_being_added(run: Run) -> None:
    """The line names it."""
    result = run("cohort", "add", A, "nonsense", B)
    assert (result.exit_code, result.stderr) == (2, "monitor: USER_ID: expected a UUID, got 'nonsense'\n")
    assert not _listed(run)


def test_a_listed_user_has_every_key(run: Run) -> None:
    """Times in RFC 3339 with Z, null never left out."""
    run("cohort", "add", A)
    row = _listed(run)[A]
    assert list(row) == [
        "target",
        "user_id",
        "client_user_id",
        "state",
        "reason",
        "registered_at",
        "observed_at",
        "next_poll_at",
        "failures",
    ]
    assert row["registered_at"].endswith("Z")
    assert (row["target"], row["state"], row["observed_at"], row["failures"]) == ("acme", "active", None, 0)


def test_a_list_in_a_pipe_is_cells_between_tabs(run: Run) -> None:
    """The id stands first and whole."""
    run("cohort", "add", A)
    line = run("cohort", "list").stdout
    assert line.split("\t")[0] == A
    assert len(line.split("\t")) == 8


def test_an_empty_cohort_is_said(run: Run) -> None:
    """On standard error, where it is in nobody's way."""
    result = run("cohort", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "the cohort is empty\n")


def test_users_are_paused_and_resumed(run: Run) -> None:
    """A paused user has no time at which it is due."""
    run("cohort", "add", A, B)
    assert run("cohort", "pause", A).stderr == "paused 1 user of acme\n"
    assert {key: row["state"] for key, row in _listed(run).items()} == {A: "paused", B: "active"}
    assert _listed(run)[A]["next_poll_at"] is None
    assert run("cohort", "resume", "--all").exit_code == 0
    assert _listed(run)[A]["state"] == "active"


def test_an_unknown_user_is_reported_and_the_others_are_done(run: Run) -> None:
    """The exit code tells that not all was done."""
    run("cohort", "add", A)
    result = run("cohort", "pause", A, str(UNKNOWN))
    assert result.exit_code == 1
    assert result.stderr == f"paused 1 user of acme\n{UNKNOWN}: not in the cohort of acme\n"
    assert _listed(run)[A]["state"] == "paused"


def test_a_removed_user_is_no_longer_listed_and_may_come_back(run: Run) -> None:
    """Adding it again says that it is back."""
    run("cohort", "add", A, B)
    assert run("cohort", "remove", A).exit_code == 0
    assert list(_listed(run)) == [B]
    assert run("cohort", "add", A).stderr == "added 1 user to acme: 0 new, 1 back, 0 known\n"


def test_all_are_removed_only_when_meant(run: Run) -> None:
    """Where nobody can be asked, --yes is needed."""
    run("cohort", "add", A, B)
    result = run("cohort", "remove", "--all")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert len(_listed(run)) == 2
    assert run("cohort", "remove", "--all", "--yes").stderr == "removed 2 users of acme\n"
    assert not _listed(run)


def test_erasing_leaves_nothing(run: Run, filled: Path) -> None:
    """Neither member nor history; the other user stays."""
    del filled
    assert run("cohort", "erase", str(USER)).exit_code == 2
    assert run("cohort", "erase", str(USER), "--yes").stderr == "erased 1 user of acme\n"
    assert list(_listed(run)) == [str(OTHER)]
    assert run("transitions", "--since", "2000-01-01").stdout == ""
    again = run("cohort", "erase", str(USER), "--yes")
    assert (again.exit_code, again.stderr) == (1, f"{USER}: not known to acme\n")


def test_erasing_beside_a_reader_says_that_the_text_is_still_there(run: Run, filled: Path) -> None:
    """It is done, and it is said what is left and what to do; typed again, the rest goes."""
    with closing(sqlite3.connect(filled / "monitor.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchone()
        erased = run("cohort", "erase", str(USER), "--yes")
    assert erased.exit_code == 0
    left, done = erased.stderr.splitlines()
    assert "its text stays in the write-ahead log" in left
    assert "end that program" in left
    assert done == "erased 1 user of acme"
    again = run("cohort", "erase", str(USER), "--yes")
    assert again.stderr == f"{USER}: not known to acme\n"


def test_a_file_is_imported_and_its_bad_lines_reported(run: Run, place: Path) -> None:
    """They are skipped, named by number, and make the exit code 1."""
    (place / "users.csv").write_text(f"user_id,client_user_id\n{A},first\nnonsense,x\n{B},\n{A},\n")
    run("cohort", "add", B)
    result = run("cohort", "import", "users.csv")
    assert result.exit_code == 1
    assert result.stderr == ("line 3: not a UUID: 'nonsense'\nimported 3 users into acme: 1 new, 2 known; 1 bad line\n")
    assert _listed(run)[A]["client_user_id"] == "first"


def test_standard_input_is_imported(run: Run) -> None:
    """A file without bad lines is exit code 0."""
    result = run("cohort", "import", "-", stdin=f'{{"user_id": "{A}"}}\n"{B}"\n')
    assert (result.exit_code, result.stderr) == (0, "imported 2 users into acme: 2 new, 0 known\n")


def test_many_bad_lines_are_not_all_shown(run: Run) -> None:
    """The rest is counted."""
    result = run("cohort", "import", "-", stdin="x\n" * 1234 + A)
    lines = result.stderr.splitlines()
    assert len(lines) == 22
    assert lines[19] == "line 20: not a UUID: 'x'"
    assert lines[20] == "… and 1,214 more bad lines"
    assert lines[21] == "imported 1 user into acme: 1 new, 0 known; 1,234 bad lines"


def test_a_long_file_is_registered_in_pieces(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece at a time, with bad lines and repeats anywhere."""
    monkeypatch.setattr(importing, "CHUNK", 7)
    ids = [str(UUID(int=each % 40)) for each in range(100)]
    result = run("cohort", "import", "-", stdin="\n".join([*ids, "bad"]))
    assert result.stderr.splitlines()[-1] == "imported 100 users into acme: 40 new, 60 known; 1 bad line"
    assert len(_listed(run)) == 40


def test_what_is_no_list_of_users_is_refused(run: Run, place: Path) -> None:
    """A table must say which column holds the ids; a folder holds none."""
    (place / "x.csv").write_text("id,name\n1,2\n")
    assert run("cohort", "import", "x.csv").exit_code == 2
    assert run("cohort", "import", str(place)).exit_code == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"\0\n\0"])
def test_odd_content_is_no_crash(run: Run, content: bytes) -> None:
    """It registers nobody."""
    assert run("cohort", "import", "-", stdin=content).exit_code in {0, 1}
    assert not _listed(run)


def _private(place: Path, mode: str) -> None:
    config = place / "config.yaml"
    words = f"privacy: {{client_user_id: {mode}, hash_key: 0123456789abcdef}}\n"
    config.write_text(config.read_text().split("privacy:")[0] + words)


def test_a_name_is_stored_as_the_configuration_says(run: Run, place: Path) -> None:
    """As a hash, or not at all; a list of hashes can be imported again without hashing them twice."""
    _private(place, "hash")
    run("cohort", "import", "-", stdin=f"user_id,client_user_id\n{A},ann@example.com\n")
    (name,) = (row["client_user_id"] for row in _listed(run).values())
    assert (len(name), "ann" in name) == (64, False)
    run("cohort", "import", "-", stdin=f"user_id,client_user_id\n{A},{name}\n")
    assert _listed(run)[A]["client_user_id"] == name
    _private(place, "drop")
    run("cohort", "import", "-", stdin=f"user_id,client_user_id\n{B},bob@example.com\n")
    assert _listed(run)[B]["client_user_id"] is None


def test_a_person_brings_an_erased_user_back(run: Run) -> None:
    """By adding it or by importing it."""
    for back in (("cohort", "add", A), ("cohort", "import", "-")):
        run("cohort", "add", A)
        run("cohort", "erase", A, "--yes")
        assert not _listed(run)
        run(*back, stdin=f"{A}\n")
        assert list(_listed(run)) == [A]

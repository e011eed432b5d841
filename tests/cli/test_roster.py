"""Reading a list of users out of a file."""

from __future__ import annotations

import csv
import io
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.cohort.roster import LONGEST_LINE, BadLine, read
from monitor.errors import UsageError
from monitor.ports import ListedUser

A, B, C = (UUID(int=each) for each in (1, 2, 3))

uuids = st.uuids()
words = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\0\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"), max_size=20
)


def _read(content: str | bytes, name: str = "users.txt") -> tuple[list[ListedUser], dict[int, str]]:
    data = content.encode() if isinstance(content, str) else content
    entries = list(read(io.BytesIO(data), name))
    users = [each for each in entries if isinstance(each, ListedUser)]
    bad = {each.number: each.reason for each in entries if isinstance(each, BadLine)}
    return users, bad


def _ids(content: str | bytes, name: str = "users.txt") -> list[UUID]:
    users, bad = _read(content, name)
    assert not bad
    return [each.user_id for each in users]


def test_one_id_a_line_is_read_without_blank_lines_and_comments() -> None:
    """Blank lines and lines that begin with # say nothing."""
    assert _ids(f"# our users\n\n{A}\n  {B}  \r\n\n# the end\n{C}") == [A, B, C]


def test_an_id_in_capitals_is_the_same_id() -> None:
    """The case of the letters does not matter."""
    assert _ids("ABCDEF00-0000-0000-0000-00000000000A") == [UUID("abcdef00-0000-0000-0000-00000000000a")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_takes_its_columns_by_name(delimiter: str) -> None:
    """Columns stand in any order, other columns are ignored, and spreadsheets write a mark before the first."""
    rows = [["name", "client_user_id", "User_ID"], ["Ann", "c-1", str(A)], ["Bob", "", str(B)]]
    content = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    users, bad = _read(content, "users.csv")
    assert users == [ListedUser(user_id=A, client_user_id="c-1"), ListedUser(user_id=B, client_user_id=None)]
    assert not bad


def test_csv_cells_may_be_quoted_and_span_lines() -> None:
    """A quoted cell may hold the delimiter, quotes and line breaks; the next row's number counts them."""
    content = f'user_id,client_user_id,note\n"{A}","a,b","says ""hi""\nand more"\nnonsense,x,y\n{B},c,\n'
    users, bad = _read(content)
    assert users == [ListedUser(user_id=A, client_user_id="a,b"), ListedUser(user_id=B, client_user_id="c")]
    assert list(bad) == [4]


def test_a_quote_that_is_never_closed_swallows_no_users() -> None:
    """The line that opened it is the bad one; those after it are read."""
    content = f'user_id,note\n{A},"open\n{B},fine\n{C},"closed"\n'
    users, bad = _read(content)
    assert [each.user_id for each in users] == [B, C]
    assert bad == {2: "a quote is not closed"}


def test_rows_of_empty_cells_say_nothing() -> None:
    """Spreadsheets write them at the end."""
    assert _ids(f"client_user_id,user_id\nx,{A}\n,\n\n,,,\n") == [A]


def test_rows_without_an_id_are_bad() -> None:
    """A row that is too short or empty where the id belongs is reported."""
    _, bad = _read("client_user_id,user_id\nx\nx,\n")
    assert bad == {2: "no cell for user_id", 3: "user_id is empty"}


def test_json_lines_may_be_objects_or_strings() -> None:
    """Other keys are ignored, and a client_user_id may be a number."""
    content = (
        f'{{"user_id": "{A}", "client_user_id": 7, "x": []}}\n\n"{B}"\n{{"user_id": "{C}", "client_user_id": null}}'
    )
    users, bad = _read(content)
    assert [(each.user_id, each.client_user_id) for each in users] == [(A, "7"), (B, None), (C, None)]
    assert not bad


def test_bad_json_is_reported_by_line() -> None:
    """Each says what was expected."""
    content = f'{{"user_id": "{A}"}}\n{{"user_id": 5}}\n[1]\n{{"client_user_id": "x"}}\n{{\n"{"[" * 9}'
    users, bad = _read(content)
    assert [each.user_id for each in users] == [A]
    assert list(bad) == [2, 3, 4, 5, 6]
    assert "Expected `str`, got `int`" in bad[2]


def test_a_table_without_a_header_is_refused_as_a_whole() -> None:
    """Which column holds the ids cannot be guessed."""
    with pytest.raises(
        UsageError, match=r"^users.csv: line 1: expected a header with a column user_id, found 'id,name'"
    ):
        _read("id,name\n1,2\n", "users.csv")


def test_ids_and_json_may_stand_side_by_side() -> None:
    """Each line tells by itself what it is."""
    assert _ids(f'{A}\n"{B}"\n# so be it\n{{"user_id": "{C}"}}\n') == [A, B, C]


def test_a_first_line_of_nonsense_does_not_spoil_the_rest() -> None:
    """The format is told from the first lines together."""
    users, bad = _read(f"hello, world\n{A}\n")
    assert [each.user_id for each in users] == [A]
    assert bad == {1: "not a UUID: 'hello, world'"}


def test_an_endless_line_is_skipped_in_bounded_memory() -> None:
    """It is one bad line, and the next is read."""
    users, bad = _read(f"{'x' * (3 * LONGEST_LINE)}\n{A}\n{'y' * LONGEST_LINE}")
    assert [each.user_id for each in users] == [A]
    assert list(bad) == [1, 3]


@pytest.mark.parametrize("name", ["\u0661" * 8, "1_000000", "+1000000", "{0000000"])
def test_only_the_usual_form_of_a_uuid_counts(name: str) -> None:
    """What Python would read as a number is still no id."""
    assert _read(f"{name}-0000-0000-0000-000000000001")[1]


def test_what_is_not_utf_8_is_bad_where_it_is_used() -> None:
    """Torn bytes in other columns do no harm."""
    content = f"user_id,client_user_id,note\n{A},\xff,x\n{B},b,\xff\n{C},a\0b,\n".encode("latin-1")
    users, bad = _read(content)
    assert [each.user_id for each in users] == [B]
    assert bad == {2: "client_user_id is not UTF-8", 4: "client_user_id contains a NUL character"}


@pytest.mark.parametrize(("length", "is_good"), [(500, True), (501, False)])
def test_a_client_user_id_longer_than_an_index_holds_is_a_bad_line(length: int, *, is_good: bool) -> None:
    """It is not cut: a cut id is another one."""
    users, bad = _read(f"user_id,client_user_id\n{A},{'x' * length}\n".encode())
    assert (len(users), 2 in bad) == (is_good, not is_good)


def test_nothing_comes_of_nothing() -> None:
    """An empty file is no fault."""
    assert _read(b"") == ([], {})


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
def test_no_content_makes_it_crash(content: bytes) -> None:
    """Any bytes come to users, bad lines or one refusal."""
    for name in ("x", "x.csv", "x.jsonl"):
        try:
            users, bad = _read(content, name)
        except UsageError:
            continue
        lines = content.count(b"\n") + 1
        assert len(users) + len(bad) <= lines
        assert all(1 <= number <= lines for number in bad)


@given(st.binary(max_size=200))
def test_no_row_makes_it_crash(content: bytes) -> None:
    """Nor do any bytes below a header or an object."""
    _read(b"user_id;client_user_id\n" + content)
    _read(b'{"user_id": "x"}\n' + content)


@given(st.lists(uuids | words))
def test_good_ids_are_found_and_bad_lines_numbered(lines: list[UUID | str]) -> None:
    """One id a line: every id is found in order, everything else is reported by its line."""
    content = "".join(f"{line}\n" for line in [A, *lines])
    users, bad = _read(content)
    assert [each.user_id for each in users] == [A, *(each for each in lines if isinstance(each, UUID))]
    expected = [number for number, line in enumerate(lines, 2) if isinstance(line, str) and _speaks(line)]
    assert list(bad) == expected


def _speaks(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


@given(st.lists(st.tuples(uuids | words.filter(_speaks), words)), st.sampled_from(",;\t"))
def test_csv_of_any_writer_is_read_back(rows: list[tuple[UUID | str, str]], delimiter: str) -> None:
    """What Python's own writer quotes is unquoted, with the right line for each bad row."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([("client_user_id", "user_id"), *((client, user) for user, client in rows)])
    users, bad = _read(out.getvalue())
    good = [(user, client.strip() or None) for user, client in rows if isinstance(user, UUID)]
    assert [(each.user_id, each.client_user_id) for each in users] == good
    assert list(bad) == [number for number, (user, _) in enumerate(rows, 2) if isinstance(user, str)]


@given(st.lists(st.tuples(uuids | words, words)))
def test_json_lines_of_any_writer_are_read_back(rows: list[tuple[UUID | str, str]]) -> None:
    """Every id is found in order, everything else is reported by its line."""
    content = "\n".join(json.dumps({"client_user_id": client, "user_id": str(user)}) for user, client in rows)
    users, bad = _read(content)
    assert [each.user_id for each in users] == [user for user, _ in rows if isinstance(user, UUID)]
    assert list(bad) == [number for number, (user, _) in enumerate(rows, 1) if isinstance(user, str)]

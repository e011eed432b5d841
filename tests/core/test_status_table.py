"""The truth table of status transitions: what was, what is, and what the diff calls it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from monitor.core.model import Connection
from tests.core.samples import NOON, between, broken, connected, paused

ROWS: Final[dict[str, Connection | None]] = {
    "absent": None,
    "connected": connected(),
    "relinked": replace(connected(), created_on=NOON),
    "undated": replace(connected(), created_on=None),
    "error A": broken(),
    "error B": broken(error_type="provider_password_expired"),
    "A later": replace(broken(), errored_at=NOON),
    "untyped": broken(error_type=None),
    "reworded": replace(broken(), error_message="Other prose.", created_on=NOON),
    "paused": paused(),
    "odd word": Connection(provider="fitbit", status="Wird geprüft"),
}

# One line per previous row, one column per next row; "-" says that nothing happened.
COLUMNS: Final = (
    "absent      connected    relinked     undated      error A       error B       paused         odd word"
)
TABLE: Final = """
absent    | -           appeared     appeared     appeared     errored       errored       appeared       appeared
connected | disappeared -            reconnected  -            errored       errored       status_changed status_changed
relinked  | disappeared reconnected  -            -            errored       errored       status_changed status_changed
undated   | disappeared -            -            -            errored       errored       status_changed status_changed
error A   | disappeared recovered    recovered    recovered    -             error_changed status_changed status_changed
error B   | disappeared recovered    recovered    recovered    error_changed -             status_changed status_changed
A later   | disappeared recovered    recovered    recovered    error_changed error_changed status_changed status_changed
untyped   | disappeared recovered    recovered    recovered    error_changed error_changed status_changed status_changed
reworded  | disappeared recovered    recovered    recovered    -             error_changed status_changed status_changed
paused    | disappeared status_changed status_changed status_changed errored errored       -              status_changed
odd word  | disappeared status_changed status_changed status_changed errored errored       status_changed -
"""


def cells() -> list[tuple[str, str, str]]:
    """Return previous row, next row and expected kind of every cell."""
    nexts = [name.strip() for name in COLUMNS.split("  ") if name.strip()]
    found = []
    for line in TABLE.strip().splitlines():
        previous, kinds = line.split("|")
        found += [(previous.strip(), is_now, kind) for is_now, kind in zip(nexts, kinds.split(), strict=True)]
    return found


@pytest.mark.parametrize(("was", "is_now", "kind"), cells())
def test_every_pair_of_rows_has_the_kind_that_the_table_says(was: str, is_now: str, kind: str) -> None:
    """A pair of rows of one connection yields exactly the kind of its cell, or nothing."""
    before, after = ROWS[was], ROWS[is_now]
    found = between(*[before] if before else [], after=(after,) if after else ())
    assert found == ([] if kind == "-" else [f"{kind} fitbit"])


def test_the_table_is_whole() -> None:
    """Every row of the examples stands in the table as what was."""
    assert {was for was, _, _ in cells()} == set(ROWS)


def test_an_error_that_began_again_later_is_another_error() -> None:
    """A later time of error with the same type is ``error_changed``, in both directions."""
    again = replace(broken(), errored_at=NOON - timedelta(minutes=1))
    assert between(broken(), after=(again,)) == between(again, after=(broken(),)) == ["error_changed fitbit"]


def test_prose_alone_changes_nothing() -> None:
    """No logic rests on the message or on who the user is with the provider."""
    reworded = replace(broken(), error_message="Other prose.", external_user_id="someone else")
    assert between(broken(), after=(reworded,)) == []


def test_another_creation_time_outside_connected_says_nothing() -> None:
    """Only a connection that is connected before and after can be reconnected."""
    before, after = (replace(paused(), created_on=NOON + timedelta(days=day)) for day in (0, 1))
    assert between(before, after=(after,)) == []

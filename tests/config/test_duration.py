"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from monitor.config.duration import LONGEST, parse, shown


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1.5h", 5400),
        ("90", 90),
        (" 90s ", 90),
        (90, 90),
        (0.25, 0.25),
        ("0s", 0),
        (0, 0),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(written: object, seconds: float) -> None:
    """The forms of the contract."""
    assert parse(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "soon",
        "1w",
        "1 h",
        "-1s",
        "+1s",
        "1e3s",
        "1h30m",
        "250ms",
        "PT15M",
        "٣s",
        -1,
        float("nan"),
        True,
        None,
        [],
        {},
    ],
)
def test_anything_else_is_none(written: object) -> None:
    """Nor is it guessed at."""
    with pytest.raises(PydanticCustomError, match="a duration such as 30s, 15m, 2h or 7d"):
        parse(written)


@pytest.mark.parametrize("written", ["3651d", "999999999999d", 1e300, float("inf"), 10**400])
def test_a_duration_of_more_than_ten_years_is_refused(written: object) -> None:
    """Sums with it would leave the calendar."""
    with pytest.raises(PydanticCustomError, match="3650d or less"):
        parse(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(900, "15m"), (90, "90s"), (86400, "1d"), (129600, "36h"), (0, "0s"), (0.5, "0.5s"), (1e-6, "0.000001s")],
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    """As a person would have written it."""
    assert shown(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_shown_can_be_read_again(duration: timedelta) -> None:
    """Writing and reading are inverse."""
    assert parse(shown(duration)) == duration

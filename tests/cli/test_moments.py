"""Times as people type and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli import moments
from monitor.errors import UsageError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("1.5h", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("90", datetime(2026, 11, 24, 11, 58, 30, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T03:15:02Z", datetime(2026, 11, 1, 3, 15, 2, tzinfo=UTC)),
        ("2026-11-01 03:15", datetime(2026, 11, 1, 3, 15, tzinfo=UTC)),
        ("2026-11-01t03:15:02.25z", datetime(2026, 11, 1, 3, 15, 2, 250_000, tzinfo=UTC)),
        ("2026-11-01T03:15:02+02:00", datetime(2026, 11, 1, 1, 15, 2, tzinfo=UTC)),
    ],
)
def test_times_dates_and_durations_are_read(text: str, expected: datetime) -> None:
    """Without an offset a time is UTC; a duration is so long ago."""
    assert moments.parse(text, NOW, option="--since") == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "-2h", "2y", "20261101", "999999999w", "0001-01-01T00:00+14:00"]
)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    """The line names the option, the forms and what was typed."""
    with pytest.raises(UsageError, match=r"^--since: expected a time such as .*, got "):
        moments.parse(text, NOW, option="--since")


@given(st.text(max_size=30))
def test_no_text_makes_it_crash(text: str) -> None:
    """Any text is a moment or a refusal."""
    try:
        assert moments.parse(text, NOW, option="--at").utcoffset() == timedelta(0)
    except UsageError:
        return


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (86400 * 2 - 1, "47 h ago"),
        (86400 * 2, "2 d ago"),
        (-180, "in 3 min"),
    ],
)
def test_distance_is_told_in_a_unit_that_means_something(seconds: int, expected: str) -> None:
    """A unit is used from where there are enough of it."""
    assert moments.relative(NOW - timedelta(seconds=seconds), NOW) == expected


def test_a_time_is_shown_in_utc() -> None:
    """To the second, whatever the zone of the machine."""
    assert moments.plain(NOW) == "2026-11-24 12:00:00Z"

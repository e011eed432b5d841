from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from monitor.core.model import Connection, Snapshot
from monitor.junction import wire
from tests.junction.answers import RESPONSE_EXAMPLE, answer, plain, row, shown


def test_reads_the_response_example_of_the_vendor() -> None:
    """The documented answer is one connected Fitbit with two resources."""
    assert wire.read(RESPONSE_EXAMPLE, plain) == Snapshot(
        connections={
            "fitbit": Connection(
                provider="fitbit",
                status="connected",
                created_on=datetime(2010, 1, 23, 12, 34, 56, tzinfo=UTC),
                resources={"body": "available", "sleep": "unavailable"},
            )
        }
    )


def test_reads_the_schema_example_of_the_vendor() -> None:
    """The documented row in error keeps all three parts of its error."""
    assert shown(row()).connections == {
        "garmin": Connection(
            provider="garmin",
            status="error",
            created_on=datetime(2010, 1, 23, 12, 34, 56, tzinfo=UTC),
            error_type="deregistered_per_provider",
            error_message="The user has deregistered the connection per notification from Garmin.",
            errored_at=datetime(2010, 1, 24, 23, 45, 32, tzinfo=UTC),
            resources={"sleep": "available"},
        )
    }


def test_no_rows_is_a_user_without_connections() -> None:
    """An empty list is an observation."""
    assert shown() == Snapshot(connections={})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"providers"',
        b'{"providers": null}',
        b'{"providers": {}}',
        b'{"providers": "[]"}',
        b'{"providers": []',
        b'{"providers": []} x',
        b'{"providers": [NaN]}',
        b"<!doctype html><title>Bad gateway</title>",
        b'{"providers": [], "note": "\xff"}',
        b'{"providers": [{"slug": "\xe9", "status": "connected"}]}',
        '{"providers": []}'.encode("utf-16"),
        b'{"providers": [], "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"providers": [' + b'{"slug":' * 100_000 + b"1" + b"}" * 100_000 + b"]}",
    ],
)
def test_what_is_no_answer_is_malformed_as_a_whole(body: bytes) -> None:
    """Without a list `providers` in whole, valid JSON nothing was observed."""
    assert wire.read(body, plain) is None


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1,
        "oura",
        [],
        {},
        {"slug": "oura"},
        {"status": "connected"},
        {"slug": None, "status": "connected"},
        {"slug": 7, "status": "connected"},
        {"slug": "oura", "status": True},
        {"slug": "oura", "status": {"word": "connected"}},
        {"slug": "", "status": "connected"},
        {"slug": "oura", "status": " \t"},
        {"slug": "o" * 201, "status": "connected"},
        {"slug": "oura", "status": "c" * 201},
    ],
)
def test_a_row_without_usable_slug_or_status_is_counted_and_the_rest_counts(bad: Any) -> None:
    """One bad row costs itself and the right to conclude an absence."""
    seen = shown(bad, row(), bad)
    assert (list(seen.connections), seen.complete, seen.malformed_rows) == (["garmin"], False, 2)


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("created_on", "yesterday"),
        ("created_on", 1264250096),
        ("created_on", "0001-01-01T00:00:00+14:00"),
        ("created_on", "9999-12-31T23:59:59-14:00"),
        ("created_on", "0001-01-01T00:00:00Z"),
        ("created_on", "1969-12-31T23:59:59Z"),
        ("created_on", "2201-01-01T00:00:00Z"),
        ("created_on", "2200-12-31T23:59:59-00:01"),
        ("created_on", "1970-01-01T00:00:00+00:01"),
        ("external_user_id", "x" * 2001),
        ("created_on", None),
        ("external_user_id", {"mail": 1}),
        ("resource_availability", None),
        ("resource_availability", []),
        ("resource_availability", "all"),
        ("error_details", None),
        ("error_details", "broken"),
        ("error_details", {}),
        ("error_details", []),
        ("logo", 5),
        ("name", None),
    ],
)
def test_a_fault_inside_a_row_costs_only_the_part_it_is_in(key: str, bad: Any) -> None:
    """The row stays good and complete; the part reads as if it were not there."""
    rest = {name: value for name, value in row().items() if name != key}
    seen = shown(row(**{key: bad}))
    assert seen == shown(rest)
    assert (seen.complete, seen.malformed_rows) == (True, 0)


def test_error_details_keep_the_parts_that_are_there() -> None:
    """A bad date beside a good type and message is just a missing date."""
    details = {"error_type": "brand_new", "error_message": 3, "errored_at": "soon"}
    connection = shown(row(error_details=details)).connections["garmin"]
    assert (connection.error_type, connection.error_message, connection.errored_at) == ("brand_new", None, None)


@pytest.mark.parametrize("errored_at", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z"])
def test_an_implausible_error_date_reads_as_missing(errored_at: str) -> None:
    """The error itself and its other parts stay."""
    details = {"error_type": "t", "error_message": "m", "errored_at": errored_at}
    connection = shown(row(error_details=details)).connections["garmin"]
    assert (connection.error_type, connection.error_message, connection.errored_at) == ("t", "m", None)


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2200-12-31T23:59:59Z"])
def test_the_years_1970_and_2200_are_inside(time: str) -> None:
    """Both bounds are whole years in UTC."""
    assert shown(row(created_on=time)).connections["garmin"].created_on == datetime.fromisoformat(time)


def test_a_long_error_message_is_cut() -> None:
    """People see 500 characters of it, and a megabyte would be stored four times."""
    details = {"error_type": "t", "error_message": "m" * 2000 + "rest"}
    assert shown(row(error_details=details)).connections["garmin"].error_message == "m" * 2000


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Connected", "connected"),
        ("ERROR", "error"),
        ("pAUSED", "paused"),
        ("Dormant", "Dormant"),
        ("connected ", "connected "),
    ],
)
def test_known_statuses_are_recognised_in_any_letter_case(sent: str, status: str) -> None:
    """All other words are kept as sent."""
    assert shown(row(status=sent)).connections["garmin"].status == status


def test_an_error_in_capitals_keeps_its_details() -> None:
    """It is an error like any other, and wins over another row of its slug."""
    (connection,) = shown(row(status="ERROR"), row(status="Connected")).connections.values()
    assert (connection.in_error, connection.error_type) == (True, "deregistered_per_provider")


@pytest.mark.parametrize("error_type", ["", "e" * 201])
def test_an_error_type_that_no_index_holds_reads_as_missing(error_type: str) -> None:
    """An empty or absurdly long error type does not cost the row."""
    connection = shown(row(error_details={"error_type": error_type, "error_message": "m"})).connections["garmin"]
    assert (connection.error_type, connection.error_message) == (None, "m")


@pytest.mark.parametrize("status", ["connected", "paused", "dormant", "err0r"])
def test_error_fields_are_empty_outside_error(status: str) -> None:
    """Details that linger on a row of any other status are not an error."""
    connection = shown(row(status=status)).connections["garmin"]
    assert connection.status == status
    assert (connection.error_type, connection.error_message, connection.errored_at) == (None, None, None)


def test_resources_without_a_word_are_left_out() -> None:
    """A resource counts when its value is an object with a usable status."""
    resources = {
        "sleep": {"status": "available"},
        "body": {"status": "perhaps", "extra": [1]},
        "meal": {"status": 1},
        "steps": "available",
        "hrv": {},
        "weight": None,
        "": {"status": "available"},
        "w" * 201: {"status": "available"},
    }
    connection = shown(row(resource_availability=resources)).connections["garmin"]
    assert connection.resources == {"sleep": "available", "body": "perhaps"}


def test_unknown_words_are_kept_as_sent() -> None:
    """The vendor's sets are open: nothing is trimmed, lowered or mapped."""
    connection = shown(row(slug=" Neue_Uhr ", status="Schläft", extra={"a": [None]})).connections[" Neue_Uhr "]
    assert connection.status == "Schläft"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-03-01T10:00:00Z", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01T10:00:00+00:00", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01T10:00:00.5Z", datetime(2024, 3, 1, 10, microsecond=500_000, tzinfo=UTC)),
        ("2024-03-01T10:00:00.123456+02:00", datetime(2024, 3, 1, 8, microsecond=123_456, tzinfo=UTC)),
        ("2024-03-01T10:00:00-05:30", datetime(2024, 3, 1, 15, 30, tzinfo=UTC)),
        ("2024-03-01T10:00:00", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01T10:00:00.25", datetime(2024, 3, 1, 10, microsecond=250_000, tzinfo=UTC)),
    ],
)
def test_times_come_out_in_utc(text: str, time: datetime) -> None:
    """Whatever the offset, the same moment is the same value; a naive time is UTC."""
    read = shown(row(created_on=text)).connections["garmin"].created_on
    assert read == time
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_rows_of_one_slug_error_wins(turned: bool) -> None:
    """A newer connected row does not hide the one in error."""
    rows = [row(), row(status="connected", created_on="2024-01-01T00:00:00Z")]
    seen = shown(*(reversed(rows) if turned else rows))
    assert seen.connections["garmin"].status == "error"
    assert seen.complete


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_rows_of_one_slug_the_later_wins(turned: bool) -> None:
    """Where both or neither are in error, the later link counts, and any date beats none."""
    rows = [
        row(status="connected", created_on="2024-01-01T00:00:00Z"),
        row(status="paused", created_on="2024-01-01T00:00:01Z"),
        row(status="x", created_on=None),
    ]
    assert shown(*(reversed(rows) if turned else rows)).connections["garmin"].status == "paused"


def test_an_external_user_id_is_what_the_callable_makes_of_it() -> None:
    """Personal data passes through the privacy setting, and nothing else is asked about it."""
    asked: list[str] = []
    body = answer(row(external_user_id="ann@example.org"), row(slug="oura", external_user_id=None))
    seen = wire.read(body, asked.append)
    assert asked == ["ann@example.org"]
    assert seen is not None
    assert {each.external_user_id for each in seen.connections.values()} == {None}


def test_duplicate_keys_and_huge_numbers_are_no_fault() -> None:
    """The last of two equal keys counts, and numbers nobody reads may be any size."""
    body = b'{"n": 1e999, "providers": [1], "providers": [{"slug":"a","slug":"oura","status":"x","n":%s}]}' % (
        b"9" * 5000
    )
    seen = wire.read(body, plain)
    assert seen is not None
    assert (list(seen.connections), seen.complete) == (["oura"], True)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"bad \ud83d half", "bad \ufffd half"),
        (rb"\uDE00\uD83D", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d \\u0000 \\\ud83d", "\\ud83d \\u0000 \\\ufffd"),
        (rb"\ud83d\ude00 \u00e9 \n", "\U0001f600 \u00e9 \n"),
    ],
)
def test_what_no_database_holds_is_replaced_in_its_text(sent: bytes, stored: str) -> None:
    """NUL and half a surrogate pair become U+FFFD; whole pairs and escaped backslashes stay."""
    body = answer(row(error_details={"error_type": "t", "error_message": "@"})).replace(b"@", sent)
    seen = wire.read(body, plain)
    assert seen is not None
    assert seen.connections["garmin"].error_message == stored
    assert seen.complete


@pytest.mark.parametrize("key", ["logo", "name", "extra"])
def test_half_a_pair_in_what_is_skipped_costs_nothing(key: str) -> None:
    """The decoder refuses a whole body for it."""
    body = answer(row(**{key: "@"}), row(slug="oura")).replace(b"@", rb"x\ud83d")
    assert wire.read(body, plain) == shown(row(), row(slug="oura"))

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.model import ERROR, Connection, Snapshot
from monitor.junction import listing, wire
from tests.chaos.scale import scaled
from tests.junction.answers import RESPONSE_EXAMPLE, plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(120, 7200))]

# Machines that run tests are busy.
calm = settings(deadline=None, max_examples=scaled(100, 20_000), suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=offsets | st.none()).map(lambda time: time.isoformat())
slugs = st.sampled_from(["oura", "garmin", "fitbit", "whoop_v2"])
broken = st.one_of(
    st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries({"slug": slugs}),
    st.fixed_dictionaries({"slug": st.none() | st.just(" ") | st.just("x" * 201), "status": words}),
    st.fixed_dictionaries({"slug": slugs, "status": st.integers() | st.just("")}),
)
parts: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"slug": slugs, "status": st.sampled_from(["connected", ERROR, "paused"]) | words},
    optional={
        "created_on": times | json_values,
        "external_user_id": st.text(st.characters(codec="utf-8", exclude_characters="\0")) | json_values,
        "error_details": st.fixed_dictionaries(
            {}, optional={"error_type": words, "error_message": json_values, "errored_at": times | json_values}
        )
        | json_values,
        "resource_availability": st.dictionaries(words, st.fixed_dictionaries({"status": words})) | json_values,
        "extra": json_values,
    },
)


poison = st.sampled_from([r"\ud83d", r"\uDE00", r"\u0000", r"\udfff\ud800"])
implausible = (
    st.datetimes(max_value=datetime(1969, 12, 31)) | st.datetimes(min_value=datetime(2201, 1, 2))  # noqa: DTZ001
).flatmap(lambda time: offsets.map(lambda offset: time.replace(tzinfo=offset).isoformat()))


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@calm
@given(st.binary())
def test_no_bytes_raise(body: bytes) -> None:
    """Whatever a server sends, reading it ends in a value."""
    assert isinstance(wire.read(body, plain), Snapshot | None)
    listing.read_page(body)
    listing.read_errored(body)


@calm
@given(json_values, json_values)
def test_no_json_raises(value: Any, rows: Any) -> None:
    """Any JSON at all is a snapshot or nothing."""
    for body in (_dumped(value), _dumped({"providers": rows}), _dumped({"users": rows, "total": value})):
        wire.read(body, plain)
        listing.read_page(body)
        listing.read_errored(body)


@calm
@given(st.data())
def test_no_mutation_of_the_vendors_example_raises(data: st.DataObject) -> None:
    """A few bytes cut out of, or put into, a real answer do no harm."""
    start = data.draw(st.integers(0, len(RESPONSE_EXAMPLE)))
    end = data.draw(st.integers(start, min(len(RESPONSE_EXAMPLE), start + 40)))
    put = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"null", b"{", b"]", b'"', b"1e5", b"NaN", b"\\ud800", b"\\u0000"])
    )
    wire.read(RESPONSE_EXAMPLE[:start] + put + RESPONSE_EXAMPLE[end:], plain)


@calm
@given(st.lists(parts, unique_by=lambda part: part["slug"]), st.lists(broken, min_size=1))
def test_a_good_row_is_read_the_same_beside_any_malformed_rows(good: list[Any], bad: list[Any]) -> None:
    """The fast way and the patient way agree on every row."""
    alone = wire.read(_dumped({"providers": good}), plain)
    beside = wire.read(_dumped({"providers": [*bad, *good]}), plain)
    assert alone is not None
    assert beside is not None
    assert beside.connections == alone.connections
    assert (beside.complete, beside.malformed_rows) == (False, len(bad))


@calm
@given(st.lists(parts | broken, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_rows_does_not_matter(orders: tuple[Sequence[Any], Sequence[Any]]) -> None:
    """Repeated slugs included, an answer shuffled says the same."""
    first, second = (wire.read(_dumped({"providers": rows}), plain) for rows in orders)
    assert first == second


@calm
@given(parts)
def test_what_is_read_keeps_the_rules_of_the_model(part: Any) -> None:
    """Times are aware UTC, and error fields belong to `error`."""
    seen = wire.read(_dumped({"providers": [part]}), plain)
    for connection in seen.connections.values() if seen else ():
        assert all(time is None or time.utcoffset() == timedelta(0) for time in _times(connection))
        assert all(time is None or 1970 <= time.year <= 2200 for time in _times(connection))
        if not connection.in_error:
            assert (connection.error_type, connection.error_message, connection.errored_at) == (None, None, None)


def _times(connection: Connection) -> tuple[Any, ...]:
    return connection.created_on, connection.errored_at


@calm
@given(st.lists(parts, min_size=1, unique_by=lambda part: part["slug"]), poison, st.data())
def test_a_poisoned_text_costs_only_itself(rows: list[dict[str, Any]], bad: str, data: st.DataObject) -> None:
    """An answer with it equals the one with replacement characters in its place, whatever key it stands in."""
    marked = data.draw(st.sampled_from(rows))
    key = data.draw(st.sampled_from(["error_details", "external_user_id", "logo"]))
    marked[key] = {"error_type": "t", "error_message": "@@"} if key == "error_details" else "@@"
    body = _dumped({"providers": rows})
    replaced = body.replace(b"@@", rb"\ufffd" * bad.count("\\u"))
    assert wire.read(body.replace(b"@@", bad.encode()), plain) == wire.read(replaced, plain) is not None


@calm
@given(st.lists(parts, min_size=1, unique_by=lambda part: part["slug"]), implausible, st.data())
def test_an_implausible_date_costs_only_itself(rows: list[dict[str, Any]], time: str, data: st.DataObject) -> None:
    """An answer with it equals the one without it."""
    marked = data.draw(st.sampled_from(rows))
    with_it, without_it = ({**marked, "created_on": each} for each in (time, None))
    first, second = (
        wire.read(_dumped({"providers": [each if row is marked else row for row in rows]}), plain)
        for each in (with_it, without_it)
    )
    assert first == second is not None


@calm
@given(st.lists(st.uuids(), min_size=2, unique=True), poison | st.just("\udcff"), implausible)
def test_a_poisoned_user_costs_only_its_own_parts(users: list[UUID], bad: str, time: str) -> None:
    """Every user of the page is read; those beside the poisoned one as if it were good."""
    first, *others = (
        {"user_id": str(each), "client_user_id": "c", "created_on": "2024-01-01T00:00:00Z"} for each in users
    )
    poisoned = first | {"client_user_id": "@@", "created_on": time, "metadata": "@@"}
    body = _dumped({"users": [poisoned, *others], "total": len(users)})
    page = listing.read_page(body.replace(b"@@", bad.encode("utf-8", "surrogateescape")))
    beside = listing.read_page(_dumped({"users": others, "total": len(users)}))
    assert page is not None
    assert beside is not None
    assert (page.users[0].user_id, page.users[0].created_on, page.malformed_rows) == (users[0], None, 0)
    assert page.users[1:] == beside.users

"""Answers made of the vendor's own schema, as its SDK has it, and of mutations of them."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junction import ClientFacingProviderWithStatus
from pydantic import BaseModel

from monitor.core.model import ERROR, Snapshot
from monitor.junction import wire
from tests.chaos.scale import scaled
from tests.junction.answers import plain

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(120, 7200))]

SCHEMA: dict[str, Any] = BaseModel.model_json_schema.__func__(ClientFacingProviderWithStatus)  # type: ignore[attr-defined]
"""The SDK hides it behind a method of its own that returns nothing."""
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
calm = settings(deadline=None, max_examples=scaled(200, 20_000))


def made_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return JSON that fits a schema, in the part of JSON Schema that the vendor uses."""
    if "$ref" in schema:
        return made_of(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return st.one_of([made_of(each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date-time":
        return st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat())
    return _plain(schema)


def _plain(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "properties" in schema:
        wanted, parts = set(schema.get("required", ())), schema["properties"].items()
        return st.fixed_dictionaries(
            {name: made_of(each) for name, each in parts if name in wanted},
            optional={name: made_of(each) for name, each in parts if name not in wanted},
        )
    if schema.get("type") == "object":
        return st.dictionaries(WORDS, made_of(schema.get("additionalProperties") or {}), max_size=3)
    if schema.get("type") == "array":
        return st.lists(made_of(schema.get("items", {})), max_size=3)
    simple = {"string": WORDS, "boolean": st.booleans(), "integer": st.integers(), "null": st.none()}
    return simple.get(schema.get("type", ""), JUNK)


rows = made_of(SCHEMA)


@st.composite
def mutated(draw: DrawFn, value: Any) -> Any:
    """Return JSON that is like ``value``, but for a part of it that is gone, doubled, or something else."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(JUNK | st.sampled_from([10**400, -(10**20), "\ud800", "x" * 300, "9999-12-31T23:59:59-23:59"]))
    if isinstance(value, list):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(mutated(value[place])), *value[place:]]
    key = draw(st.sampled_from(sorted(value)))
    if draw(st.booleans()):
        return {name: each for name, each in value.items() if name != key}
    return {**value, key: draw(mutated(value[key]))}


def read(answer: Any) -> Snapshot | None:
    """Return what the reader makes of an answer, which must keep its own rules."""
    seen = wire.read(json.dumps(answer).encode(), plain)
    for row in seen.connections.values() if seen else ():
        times = [each for each in (row.created_on, row.errored_at) if each is not None]
        assert all(each.tzinfo is UTC for each in times)
        assert row.in_error or (row.error_type, row.error_message, row.errored_at) == (None, None, None)
        assert "\0" not in f"{row.provider}{row.status}{row.error_type}{row.error_message}{list(row.resources)}"
    return seen


@calm
@given(st.lists(rows, max_size=4, unique_by=lambda row: row["slug"]))
def test_whatever_fits_the_schema_is_read_to_the_last_row(given_rows: list[dict[str, Any]]) -> None:
    """Slug, status and error are those that were sent."""
    seen = read({"providers": given_rows})
    assert seen is not None
    assert seen.complete
    assert {name: row.status for name, row in seen.connections.items()} == {
        row["slug"]: row["status"] for row in given_rows
    }
    for row in given_rows:
        found, details = seen.connections[row["slug"]], row.get("error_details")
        if row["status"] == ERROR and details:
            assert found.error_type == details.get("error_type")


@calm
@given(st.data())
def test_whatever_is_like_it_is_a_value(data: st.DataObject) -> None:
    """Mutated once to three times, an answer is read in part, or is malformed; nothing is raised."""
    answer: Any = {"providers": data.draw(st.lists(rows, min_size=1, max_size=3))}
    for _ in range(data.draw(st.integers(1, 3))):
        answer = data.draw(mutated(answer))
    read(answer)

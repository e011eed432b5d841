from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.simulator import Do, World, answers
from monitor.simulator.catalogue import BY_SLUG

if TYPE_CHECKING:
    from tests.simulator.conftest import Clock

EXAMPLE = json.loads((Path(__file__).parent / "vendor_example.json").read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """Return the types of a JSON value; names of resources do not belong to the shape."""
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return type(value).__name__


def simulated(world: World, do: Do, **options: Any) -> dict[str, Any]:
    """Return a Fitbit row of the simulated world after a change."""
    user_id = world.users.id_at(0)
    user = world.users.at(0)
    if "fitbit" not in user.connections:
        world.change(Do.COME_BACK, user_id, "fitbit")
    world.change(do, user_id, "fitbit", **options)
    found = world.users.find(user_id)
    assert found is not None
    rows = json.loads(answers.providers(found))["providers"]
    return next(row for row in rows if row["slug"] == "fitbit")


def test_a_row_has_the_keys_of_the_vendors_example(clock: Clock) -> None:
    """Every key of the example is there with its type; what is more is documented."""
    (theirs,) = EXAMPLE["providers"]
    ours = simulated(World(clock=clock), Do.RELINK)
    assert set(ours) - set(theirs) == {"external_user_id"}
    assert set(theirs) <= set(ours)
    for key in ("name", "slug", "logo", "status", "created_on", "error_details"):
        assert shape(ours[key]) == shape(theirs[key])


def test_a_lost_resource_looks_as_in_the_vendors_example(clock: Clock) -> None:
    """The denied scopes of sleep are those of the example, word for word."""
    (theirs,) = EXAMPLE["providers"]
    ours = simulated(World(clock=clock), Do.LOSE_RESOURCE, resource="sleep")
    assert ours["resource_availability"]["sleep"] == theirs["resource_availability"]["sleep"]


def test_an_available_resource_looks_as_in_the_vendors_example(clock: Clock) -> None:
    """The granted scopes of body are those of the example, word for word."""
    (theirs,) = EXAMPLE["providers"]
    ours = simulated(World(clock=clock), Do.RELINK)
    assert ours["resource_availability"]["body"] == theirs["resource_availability"]["body"]


def test_error_details_are_those_of_the_vendors_schema(clock: Clock) -> None:
    """Three required strings, the last of them a time with an offset; the sentence is the vendor's."""
    ours = simulated(World(clock=clock), Do.BREAK, error_type="deregistered_per_provider")
    details = ours["error_details"]
    assert set(details) == {"error_type", "error_message", "errored_at"}
    assert details["error_message"] == "The user has deregistered the connection per notification from Fitbit."
    assert datetime.fromisoformat(details["errored_at"]).utcoffset() is not None


def test_every_row_of_the_world_keeps_to_the_schema() -> None:
    """Required keys, types, and grants that are null or complete, for every provider."""
    world = World(users=300)
    seen = set()
    for index in range(300):
        for row in json.loads(answers.providers(world.users.at(index)))["providers"]:
            seen.add(row["slug"])
            _check_row(row)
    assert seen == set(BY_SLUG)


def _check_row(row: dict[str, Any]) -> None:
    assert all(isinstance(row[key], str) for key in ("name", "slug", "logo", "created_on", "status"))
    assert row["status"] in {"connected", "error", "paused"}
    assert row["error_details"] is None or row["status"] == "error"
    assert datetime.fromisoformat(row["created_on"]).utcoffset() is not None
    for resource in row["resource_availability"].values():
        grants = resource["scope_requirements"]
        assert resource["status"] in {"available", "unavailable"}
        for side in ("user_granted", "user_denied"):
            assert grants is None or set(grants[side]) == {"required", "optional"}
        lost = grants is not None and bool(grants["user_denied"]["required"])
        assert grants is None or lost is (resource["status"] == "unavailable")

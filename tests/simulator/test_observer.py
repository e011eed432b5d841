"""The ledger against somebody who only compares answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from monitor.simulator import Change, Do, ImpossibleChangeError, Kind, Scenario, Simulator, answers
from monitor.simulator.orders import Order

Row = dict[str, Any]
NOT_OF_ONE_ROW = {Do.WAVE, Do.NEW_USER, Do.DELETE_USER, Do.DELETE_USERS, Do.RESTORE_USER}
DOINGS = [do for do in Do if do not in NOT_OF_ONE_ROW]


def observe(simulator: Simulator, index: int) -> dict[str, Row]:
    """Return a user's rows as they stand in the answer."""
    rows = json.loads(answers.providers(simulator.world.users.at(index)))["providers"]
    return {row["slug"]: row for row in rows}


def compare(before: Row | None, after: Row | None) -> set[tuple[Kind, str | None]]:
    """Return what two answers show of one connection, by the contract's words."""
    if before is None or after is None:
        there = after or {}
        fresh = Kind.ERRORED if there.get("status") == "error" else Kind.APPEARED
        return {(fresh if after else Kind.DISAPPEARED, None)}
    was, now = before["resource_availability"], after["resource_availability"]
    resources = {
        (Kind.RESOURCE_LOST if now[name]["status"] == "unavailable" else Kind.RESOURCE_RESTORED, name)
        for name in was
        if was[name]["status"] != now[name]["status"]
    }
    kind = compare_status(before, after)
    return resources | ({(kind, None)} if kind else set())


def compare_status(before: Row, after: Row) -> Kind | None:
    """Return the kind that status, error and creation time show."""
    match before["status"], after["status"]:
        case "error", "error":
            return Kind.ERROR_CHANGED if before["error_details"] != after["error_details"] else None
        case _, "error":
            return Kind.ERRORED
        case "error", "connected":
            return Kind.RECOVERED
        case "connected", "connected":
            return Kind.RECONNECTED if before["created_on"] != after["created_on"] else None
        case was, now:
            return Kind.STATUS_CHANGED if was != now else None


def check(change: Change, after: Row | None) -> None:
    """Hold the ledger's fields against the row."""
    details = (after or {}).get("error_details") or {}
    errored_at = details.get("errored_at")
    assert change.status == (after or {}).get("status")
    assert change.error_type == details.get("error_type")
    assert change.errored_at == (datetime.fromisoformat(errored_at) if errored_at else None)


@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_tells_what_an_observer_sees(seed: int) -> None:
    """After each of many changes, two answers differ exactly as the ledger says, and in nothing else."""
    simulator = Simulator(Scenario(users=15, seed=seed))
    seen = {index: observe(simulator, index) for index in range(15)}
    for number in range(400):
        try:
            made = simulator.course.carry_out(Order(do=DOINGS[number % len(DOINGS)]))
        except ImpossibleChangeError:
            continue
        user = simulator.world.users.find(made[0].user_id)
        assert user is not None
        before, after = seen[user.index], observe(simulator, user.index)
        seen[user.index] = after
        (slug,) = {change.provider or "" for change in made}
        assert {(change.kind, change.resource) for change in made} == compare(before.get(slug), after.get(slug))
        assert {**before, slug: None} == {**after, slug: None}
        for change in made:
            check(change, after.get(slug))
    assert seen == {index: observe(simulator, index) for index in range(15)}

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator import Do, Scenario
from tests.simulator.conftest import serving

if TYPE_CHECKING:
    from tests.simulator.conftest import Served


async def test_the_ledger_is_read_in_parts(served: Served) -> None:
    """JSON Lines, from where the reader stopped, as many as it wants."""
    for _ in range(3):
        await served.client.post("/_simulator/change", json={"do": "relink"})
    answer = await served.client.get("/_simulator/ledger", params={"after": 1, "limit": 1})
    (line,) = answer.text.splitlines()
    record = json.loads(line)
    assert (record["sequence"], record["do"], record["kind"]) == (2, "relink", "reconnected")
    assert record["at"].endswith("Z")


async def test_the_truth_is_what_polls_say(served: Served) -> None:
    """Status, error type and time of each connection agree with the answers."""
    served.simulator.world.delete_user(served.user_id(5))
    truth = (await served.client.get("/_simulator/truth")).json()
    assert truth[served.user_id(5)] == {"gone": True, "connections": {}}
    for index in (0, 1, 2):
        rows = (await served.poll(index)).json()["providers"]
        told = truth[served.user_id(index)]["connections"]
        assert {slug: row["status"] for slug, row in told.items()} == {row["slug"]: row["status"] for row in rows}


async def test_the_truth_comes_in_parts(served: Served) -> None:
    """A large world is read page by page."""
    part = (await served.client.get("/_simulator/truth", params={"offset": 38, "limit": 10})).json()
    assert list(part) == [served.user_id(38), served.user_id(39)]


async def test_statistics_count_requests_and_polls(served: Served) -> None:
    """Own endpoints do not count."""
    await served.poll(0)
    await served.poll(0)
    await served.poll(1)
    await served.client.get("/v2/user/providers/nonsense")
    stats = (await served.client.get("/_simulator/stats", params={"users": 1})).json()
    assert stats["requests_by_code"] == {"200": 3, "422": 1}
    assert (stats["polls"], stats["in_flight"]) == (3, 0)
    assert stats["polls_by_user"] == {served.user_id(0): 2, served.user_id(1): 1}


async def test_statistics_show_a_user_polled_by_two_at_once(served: Served) -> None:
    """Overlapping polls of one user are seen; of different users they are none."""
    await served.client.post("/_simulator/fault", json={"fault": "latency", "delay": "50ms"})
    await asyncio.gather(served.poll(0), served.poll(1))
    assert served.simulator.traffic.most_for_one_user == 1
    await asyncio.gather(served.poll(0), served.poll(0))
    stats = (await served.client.get("/_simulator/stats")).json()
    assert (stats["most_in_flight_for_one_user"], stats["most_in_flight"]) == (2, 2)


async def test_time_can_be_frozen_and_thawed() -> None:
    """While frozen nothing happens by itself; afterwards it goes on."""
    scenario = Scenario.model_validate({"users": 50, "changes": {"per_second": 100, "shares": {"relink": 1}}})
    async with serving(scenario) as served:
        await asyncio.sleep(0.2)
        assert (await served.client.post("/_simulator/freeze")).json() == {"frozen": True}
        made = len(served.simulator.ledger)
        await asyncio.sleep(0.2)
        assert len(served.simulator.ledger) == made > 0
        assert (await served.client.post("/_simulator/thaw")).json() == {"frozen": False}
        await asyncio.sleep(0.2)
        assert len(served.simulator.ledger) > made


async def test_a_change_on_demand_is_told_and_seen(served: Served) -> None:
    """The answer is the ledger's record, and the next poll shows it."""
    slug = next(iter(served.simulator.world.users.at(0).connections))
    order = {"do": "break", "user_id": served.user_id(), "provider": slug, "error_type": "unknown"}
    (told,) = (await served.client.post("/_simulator/change", json=order)).json()
    row = next(row for row in (await served.poll()).json()["providers"] if row["slug"] == slug)
    assert (told["kind"], row["status"], row["error_details"]["error_type"]) == ("errored", "error", "unknown")


@pytest.mark.parametrize("do", [each for each in Do if each not in {Do.RESTORE_USER, Do.COME_BACK}])
async def test_every_change_can_be_left_to_chance(served: Served, do: Do) -> None:
    """Without a user the simulator finds a candidate."""
    await served.client.post("/_simulator/change", json={"do": "pause"})
    order = {"do": do, "provider": "garmin"} if do is Do.WAVE else {"do": do}
    answer = await served.client.post("/_simulator/change", json=order)
    assert answer.status_code == 200
    assert {each["do"] for each in answer.json()} == {do}


@pytest.mark.parametrize(
    ("order", "status", "said"),
    [
        ({"do": "restore_user"}, 409, "nobody is there for restore_user"),
        ({"do": "break", "user": 999}, 409, "there is no such user"),
        ({"do": "explode"}, 422, "do: Input should be"),
        ({"do": "pause", "share": 0.5}, 422, "body: pause takes no share"),
        ({"do": "wave"}, 422, "wave needs a provider"),
        ({"do": "break", "colour": 1}, 422, "colour: Extra inputs"),
        ({"do": "break", "user": 1, "user_id": "6f0d7a52-3f0b-5d6e-9d0e-0e5f7a1c2b43"}, 422, "exclude each other"),
    ],
)
async def test_a_bad_order_is_told_why(served: Served, order: dict[str, Any], status: int, said: str) -> None:
    """Nothing changes, and the answer names the fault."""
    answer = await served.client.post("/_simulator/change", json=order)
    assert answer.status_code == status
    assert said in str(answer.json()["detail"])
    assert len(served.simulator.ledger) == 0


async def test_bodies_that_are_no_json_are_told(served: Served) -> None:
    """A broken request breaks nothing."""
    for path in ("change", "fault"):
        answer = await served.client.post(f"/_simulator/{path}", content=b"{")
        assert answer.status_code == 422
    assert (await served.client.get("/_simulator/ledger", params={"after": "x"})).status_code == 422


async def test_unknown_paths_and_methods_are_told_apart(served: Served) -> None:
    """404 and 405 as everywhere."""
    assert (await served.client.get("/_simulator/secrets")).status_code == 404
    assert (await served.client.get("/_simulator/freeze")).status_code == 405

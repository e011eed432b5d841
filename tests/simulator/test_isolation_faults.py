"""Faults that meet one user, some users or one endpoint, and answers with extreme content."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator import Do, Fault, Scenario
from monitor.simulator.spoiled_bodies import ODD_DATES, ODD_TEXTS
from tests.simulator.conftest import serving
from tests.simulator.raw import ask

if TYPE_CHECKING:
    from tests.simulator.conftest import Served


async def order_fault(served: Served, fault: Fault, **options: Any) -> None:
    """Switch a fault on over HTTP."""
    answer = await served.client.post("/_simulator/fault", json={"fault": fault, **options})
    assert answer.status_code == 200, answer.text


async def statuses(served: Served, users: int = 40) -> list[int]:
    """Poll the first users once and return their status codes."""
    return [(await served.poll(index)).status_code for index in range(users)]


async def rows(served: Served, index: int = 0) -> list[dict[str, Any]]:
    """Return the rows of a user's answer."""
    found: list[dict[str, Any]] = (await served.poll(index)).json()["providers"]
    return found


async def listed(served: Served) -> list[dict[str, Any]]:
    """Return the users on the first page of the user list."""
    found: list[dict[str, Any]] = (await served.client.get("/v2/user", params={"limit": 500})).json()["users"]
    return found


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_one_user_is_refused_and_nobody_else(served: Served, status: int) -> None:
    """The others are served well, and so is the user list."""
    await order_fault(served, Fault.STATUS, status=status, users=[1])
    assert await statuses(served, 4) == [200, status, 200, 200]
    assert (await served.client.get("/v2/user")).status_code == 200


async def test_a_fixed_status_says_how_long_to_wait_if_it_is_told_to(served: Served) -> None:
    """``Retry-After`` is there with any status, and only where the order has it."""
    await order_fault(served, Fault.STATUS, status=503, retry_after=30, users=[0])
    await order_fault(served, Fault.STATUS, status=429, users=[1])
    told, bare = await served.poll(0), await served.poll(1)
    assert (told.status_code, told.headers["retry-after"]) == (503, "30")
    assert (bare.status_code, bare.headers.get("retry-after")) == (429, None)


@pytest.mark.parametrize("status", [204, 304, 418, 599])
async def test_any_status_leaves_the_connection_usable(served: Served, status: int) -> None:
    """A status without a body, or without a name, does not disturb the next answer."""
    await order_fault(served, Fault.STATUS, status=status, users=[0])
    assert await statuses(served, 2) == [status, 200]
    assert await statuses(served, 2) == [status, 200]


async def test_a_share_of_the_users_is_met_and_always_the_same_ones(served: Served) -> None:
    """A burst for some users leaves the others alone until it ends."""
    await order_fault(served, Fault.STATUS, status=422, user_share=0.3)
    first = await statuses(served)
    assert 4 <= first.count(422) <= 20
    assert await statuses(served) == first
    assert (await served.client.get("/v2/user")).status_code == 200


async def test_each_burst_meets_other_users(served: Served) -> None:
    """Two faults of the same share do not meet the same users."""
    await order_fault(served, Fault.MISSING, user_share=0.5)
    first = await statuses(served)
    await served.client.post("/_simulator/fault", json={"do": "clear"})
    await order_fault(served, Fault.MISSING, user_share=0.5)
    assert await statuses(served) != first


@pytest.mark.parametrize(("endpoint", "poll", "users", "metrics"), [("poll", 403, 200, 200), ("list", 200, 403, 200)])
async def test_one_endpoint_is_refused_and_the_others_work(
    served: Served, endpoint: str, poll: int, users: int, metrics: int
) -> None:
    """Polls fail while the user list works, and the reverse."""
    await order_fault(served, Fault.STATUS, status=403, endpoint=endpoint)
    assert (await served.poll()).status_code == poll
    assert (await served.client.get("/v2/user")).status_code == users
    assert (await served.client.get("/v2/user/metrics")).status_code == metrics


async def test_a_hanging_list_leaves_polls_alone(served: Served) -> None:
    """Every fault can be kept to an endpoint."""
    await order_fault(served, Fault.TIMEOUT, endpoint="list")
    assert (await ask(served.port, "/v2/user")).head == ""
    assert (await served.poll()).status_code == 200


async def test_empty_answers_remove_nothing(served: Served) -> None:
    """Everybody answers with an empty list; the world and the ledger stay as they were."""
    before = (await served.client.get("/_simulator/truth")).json()
    await order_fault(served, Fault.EMPTY_LIST)
    assert (await served.poll()).json() == {"providers": []}
    assert (await served.client.get("/v2/user")).json()["total"] == 40
    assert (await served.client.get("/_simulator/truth")).json() == before
    assert len(served.simulator.ledger) == 0


async def test_the_rows_of_one_provider_are_missing_everywhere(served: Served) -> None:
    """All other rows are there, unchanged."""
    good = [await rows(served, index) for index in range(40)]
    await order_fault(served, Fault.MISSING_PROVIDER, provider="garmin")
    assert [await rows(served, index) for index in range(40)] == [
        [row for row in user if row["slug"] != "garmin"] for user in good
    ]
    assert any(row["slug"] == "garmin" for user in good for row in user)


async def test_an_error_has_a_new_time_in_each_answer(served: Served) -> None:
    """Only ``errored_at`` differs, and it always goes up."""
    slug = next(iter(served.simulator.world.users.at(0).connections))
    served.simulator.world.change(Do.BREAK, served.user_id(), slug, error_type="unknown")
    await order_fault(served, Fault.RESTAMP)
    answers = [await rows(served) for _ in range(3)]
    stamps = [row["error_details"].pop("errored_at") for user in answers for row in user if row["slug"] == slug]
    assert sorted({*map(datetime.fromisoformat, stamps)}) == [*map(datetime.fromisoformat, stamps)]
    assert answers[0] == answers[1] == answers[2]
    assert len(served.simulator.ledger) == 1


async def test_odd_dates_take_the_place_of_good_ones(served: Served) -> None:
    """Rows, errors and listed users have them; the same answer has the same ones each time."""
    served.simulator.world.change(Do.BREAK, *broken(served), error_type="unknown")
    await order_fault(served, Fault.ODD_DATES)
    answers = [await rows(served, index) for index in range(40)]
    assert {row["created_on"] for user in answers for row in user} == set(ODD_DATES)
    assert {row["error_details"]["errored_at"] for user in answers for row in user if row["error_details"]} <= {
        *ODD_DATES
    }
    assert {user["created_on"] for user in await listed(served)} <= {*ODD_DATES}
    assert [await rows(served, index) for index in range(40)] == answers


def broken(served: Served) -> tuple[str, str]:
    """Return a healthy connection of the first user, to break."""
    user = served.simulator.world.users.at(0)
    return user.user_id, next(slug for slug, row in user.connections.items() if not row.in_error)


async def test_odd_texts_take_the_place_of_good_ones(served: Served) -> None:
    """Half a surrogate pair, NUL, control characters and 10,000 characters go out escaped, as JSON allows."""
    served.simulator.world.change(Do.BREAK, *broken(served), error_type="unknown")
    await order_fault(served, Fault.ODD_TEXTS)
    answers = [await rows(served, index) for index in range(40)]
    assert {row["name"] for user in answers for row in user} == set(ODD_TEXTS)
    assert {row["error_details"]["error_message"] for row in answers[0] if row["error_details"]} <= {*ODD_TEXTS}
    assert {user["client_user_id"] for user in await listed(served)} <= {*ODD_TEXTS}
    assert all(row["slug"].isidentifier() for user in answers for row in user)


async def test_an_odd_value_can_be_chosen(served: Served) -> None:
    """``text`` names the one that a test is about."""
    await order_fault(served, Fault.ODD_TEXTS, text="\x00", users=[0])
    await order_fault(served, Fault.ODD_DATES, text="yesterday", users=[1])
    assert {row["name"] for row in await rows(served, 0)} == {"\x00"}
    assert {row["created_on"] for row in await rows(served, 1)} == {"yesterday"}


async def test_pages_of_the_user_list_are_short(served: Served) -> None:
    """A page has fewer users than was asked for, the total is right, and every user is on some page."""
    await order_fault(served, Fault.SHORT_PAGES, limit=7)
    seen: list[str] = []
    while page := (await served.client.get("/v2/user", params={"offset": len(seen), "limit": 500})).json()["users"]:
        assert len(page) <= 7
        seen += [user["user_id"] for user in page]
    assert len(set(seen)) == len(seen) == 40
    assert (await served.client.get("/v2/user")).json()["total"] == 40


async def test_a_deleted_half_is_gone_from_polls_and_from_the_list(served: Served) -> None:
    """It is a real deletion: 404, not listed, one record a user in the ledger."""
    told = (await served.client.post("/_simulator/change", json={"do": "delete_users", "share": 0.5})).json()
    assert {(each["do"], each["kind"]) for each in told} == {("delete_users", "user_gone")}
    gone = {each["user_id"] for each in told}
    assert len(gone) == 20
    assert {served.user_id(index) for index, code in enumerate(await statuses(served)) if code == 404} == gone
    assert not gone & {user["user_id"] for user in await listed(served)}


async def test_an_unknown_status_is_real(served: Served) -> None:
    """The row, the truth and the ledger have the word; afterwards the connection can be connected again."""
    user_id, slug = broken(served)
    order = {"user_id": user_id, "provider": slug}
    (told,) = (
        await served.client.post("/_simulator/change", json=order | {"do": "set_status", "status": 're"auth\n'})
    ).json()
    assert (told["kind"], told["previous_status"], told["status"]) == ("status_changed", "connected", 're"auth\n')
    assert {row["status"] for row in await rows(served) if row["slug"] == slug} == {'re"auth\n'}
    truth = json.loads((await served.client.get("/_simulator/truth")).text)
    assert truth[user_id]["connections"][slug]["status"] == 're"auth\n'
    (back,) = (await served.client.post("/_simulator/change", json=order | {"do": "unpause"})).json()
    assert (back["kind"], back["status"]) == ("status_changed", "connected")


async def test_a_listed_user_says_when_it_was_created() -> None:
    """One that registers now is newer than all others, so discovery can tell it from those it found first."""
    async with serving(Scenario(users=5)) as served:
        before = {user["user_id"]: datetime.fromisoformat(user["created_on"]) for user in await listed(served)}
        (told,) = (await served.client.post("/_simulator/change", json={"do": "new_user"})).json()
        newest = (await listed(served))[0]
        assert newest["user_id"] == told["user_id"]
        assert datetime.fromisoformat(newest["created_on"]) > max(before.values())

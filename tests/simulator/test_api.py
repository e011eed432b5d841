from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from monitor.simulator import Do
from tests.simulator.raw import ask

if TYPE_CHECKING:
    from tests.simulator.conftest import Served


async def test_an_unknown_user_is_404_in_the_vendors_words(served: Served) -> None:
    """A user that never was is told from a path that never was."""
    answer = await served.client.get(f"/v2/user/providers/{uuid4()}")
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "The user does not or no longer exists in this team"},
    )


async def test_a_deleted_user_is_404_until_restored(served: Served) -> None:
    """After the deletion is undone the user answers with an empty list."""
    await served.poll()
    served.simulator.world.delete_user(served.user_id())
    gone = await served.poll()
    assert (gone.status_code, gone.json()) == (404, {"detail": "You have scheduled this user for deletion."})
    served.simulator.world.restore_user(served.user_id())
    assert (await served.poll()).json() == {"providers": []}


async def test_a_bad_uuid_is_422_with_a_string(served: Served) -> None:
    """The detail is no list here."""
    answer = await served.client.get("/v2/user/providers/not-a-uuid")
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_an_id_in_capitals_is_the_same_user(served: Served) -> None:
    """UUIDs are compared as values."""
    answer = await served.client.get(f"/v2/user/providers/{served.user_id().upper()}")
    assert answer.content == (await served.poll()).content


@pytest.mark.parametrize(
    "path", ["/v2/user", "/v2/user/metrics", "/v2/user/providers/6f0d7a52-3f0b-4d6e-9d0e-0e5f7a1c2b43"]
)
async def test_another_key_is_401(served: Served, path: str) -> None:
    """Every endpoint wants the key."""
    answer = await served.client.get(path, headers={"x-vital-api-key": "sk_us_other"})
    assert answer.status_code == 401
    assert "detail" in answer.json()


async def test_an_unknown_path_is_404(served: Served) -> None:
    """Paths of the vendor that are not simulated do not exist."""
    for path in ("/", "/v2/summary/sleep", "/v2/user/providers/a/b"):
        answer = await served.client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_other_methods_are_405(served: Served) -> None:
    """The simulated endpoints only read."""
    answer = await served.client.delete(f"/v2/user/providers/{served.user_id()}")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


async def test_an_answer_is_the_same_until_its_user_changes(served: Served) -> None:
    """Unchanged users answer with equal bytes; a change shows at once."""
    first = (await served.poll()).content
    assert (await served.poll()).content == first
    slug = next(iter(served.simulator.world.users.at(0).connections))
    served.simulator.world.change(Do.VANISH, served.user_id(), slug)
    assert (await served.poll()).content != first


async def test_a_small_cache_still_answers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that fall out of the cache are made anew."""
    monkeypatch.setattr("monitor.simulator.api._CACHE_BYTES", 3_000)
    answers = [(await served.poll(index)).content for index in range(10)]
    assert [(await served.poll(index)).content for index in range(10)] == answers


async def test_the_list_of_users_comes_in_pages(served: Served) -> None:
    """Pages cover everybody once, newest first, and repeat what was asked."""
    pages = [
        (await served.client.get("/v2/user", params={"offset": offset, "limit": 15})).json() for offset in (0, 15, 30)
    ]
    assert [(page["offset"], page["limit"], page["total"]) for page in pages] == [(n, 15, 40) for n in (0, 15, 30)]
    ids = [user["user_id"] for page in pages for user in page["users"]]
    assert ids == [served.user_id(index) for index in reversed(range(40))]


async def test_pages_shift_when_users_come_and_go(served: Served) -> None:
    """A user that registers between two pages makes the second repeat one of the first."""
    first = (await served.client.get("/v2/user", params={"offset": 0, "limit": 10})).json()["users"]
    served.simulator.world.new_user()
    second = (await served.client.get("/v2/user", params={"offset": 10, "limit": 10})).json()["users"]
    assert first[-1] == second[0]


async def test_a_page_past_the_end_is_empty(served: Served) -> None:
    """There is no error at the end of the list."""
    assert (await served.client.get("/v2/user", params={"offset": 1_000})).json()["users"] == []


@pytest.mark.parametrize("query", [{"limit": "501"}, {"limit": "many"}, {"offset": "-1"}])
async def test_a_wrong_page_is_422_with_a_list(served: Served, query: dict[str, str]) -> None:
    """The detail names the parameter, as the vendor's framework does."""
    answer = await served.client.get("/v2/user", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", *query]


async def test_a_page_may_have_five_hundred_users(served: Served) -> None:
    """The documented limit itself is allowed."""
    assert len((await served.client.get("/v2/user", params={"limit": 500})).json()["users"]) == 40


async def test_metrics_agree_with_the_answers(served: Served) -> None:
    """The team's totals are what one finds user by user."""
    rows: list[dict[str, Any]] = []
    for index in range(40):
        rows += (await served.poll(index)).json()["providers"]
    metrics = (await served.client.get("/v2/user/metrics")).json()
    assert UUID(metrics["team_id"]).version == 4
    assert metrics["number_of_users"] == 40
    assert metrics["number_of_connected_sources"] == len(rows)
    assert metrics["number_of_errored_connected_sources"] == sum(row["status"] == "error" for row in rows)


async def test_the_name_of_the_key_header_has_no_case(served: Served) -> None:
    """The raw client writes it in capitals."""
    assert (await ask(served.port, f"/v2/user/providers/{served.user_id()}")).status == 200

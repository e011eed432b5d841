"""The simulated Junction as the vendor's own client sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from junction import AsyncJunction, Junction
from junction.core.api_error import ApiError
from junction.errors import UnprocessableEntityError

from monitor.simulator import Do, Fault
from monitor.simulator.catalogue import BY_SLUG
from monitor.simulator.orders import FaultOrder
from monitor.simulator.words import ERROR_TYPES
from tests.simulator.conftest import UNUSED_TLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Served

KEY = "sk_us_simulated"


@pytest.fixture
async def sdk(served: Served) -> AsyncIterator[AsyncJunction]:
    """Give the vendor's asynchronous client; it does not repeat what fails."""
    async with httpx.AsyncClient(verify=UNUSED_TLS, timeout=2) as client:
        yield AsyncJunction(base_url=served.url, api_key=KEY, max_retries=0, httpx_client=client)


async def rows(sdk: AsyncJunction, user_id: str) -> dict[str, Any]:
    """Return a user's connections as the SDK's own objects."""
    answer = await sdk.user.get_connected_providers(user_id)
    return {row.slug: row for row in answer["providers"]}


async def test_every_provider_is_read(served: Served, sdk: AsyncJunction) -> None:
    """Names, ids, times and resources of all providers arrive as the world has them."""
    world, user_id = served.simulator.world, served.user_id()
    for slug in set(BY_SLUG) - set(world.users.at(0).connections):
        world.change(Do.COME_BACK, user_id, slug)
    read, user = await rows(sdk, user_id), world.users.at(0)
    assert set(read) == set(BY_SLUG)
    for slug, row in read.items():
        ours = user.connections[slug]
        assert (row.name, row.status, row.created_on) == (ours.provider.name, ours.status, ours.created_on)
        assert row.external_user_id == ours.external_user_id
        assert list(row.resource_availability) == [each.name for each in ours.provider.resources]


@pytest.mark.parametrize("error_type", ERROR_TYPES)
async def test_every_error_type_is_read(served: Served, sdk: AsyncJunction, error_type: str) -> None:
    """Type, sentence and time arrive; the type is a member of the SDK's enumeration."""
    change = _break(served, error_type=error_type)
    row = (await rows(sdk, change.user_id))[change.provider]
    assert row.status == "error"
    assert row.error_details.error_type.name.lower() == error_type
    assert (row.error_details.error_type.value, row.error_details.errored_at) == (error_type, change.errored_at)
    assert row.error_details.error_message


async def test_an_error_without_details_is_read(served: Served, sdk: AsyncJunction) -> None:
    """The row is in error and its details are None."""
    change = _break(served, details=False)
    row = (await rows(sdk, change.user_id))[change.provider]
    assert (row.status, row.error_details) == ("error", None)


async def test_a_paused_connection_is_read(served: Served, sdk: AsyncJunction) -> None:
    """The third status is a plain word."""
    user_id, slug = _connected(served)
    served.simulator.world.change(Do.PAUSE, user_id, slug)
    assert (await rows(sdk, user_id))[slug].status == "paused"


async def test_a_lost_resource_is_read(served: Served, sdk: AsyncJunction) -> None:
    """The scope has moved to what the user denied."""
    user_id = served.user_id()
    if "withings" not in served.simulator.world.users.at(0).connections:
        served.simulator.world.change(Do.COME_BACK, user_id, "withings")
    served.simulator.world.change(Do.LOSE_RESOURCE, user_id, "withings", resource="sleep")
    sleep = (await rows(sdk, user_id))["withings"].resource_availability["sleep"]
    assert sleep.status.value == "unavailable"
    assert sleep.scope_requirements.user_denied.required == ["user.activity"]
    assert sleep.scope_requirements.user_granted.required == []


async def test_a_user_without_connections_is_read(served: Served, sdk: AsyncJunction) -> None:
    """An empty list is an answer."""
    served.simulator.world.delete_user(served.user_id())
    served.simulator.world.restore_user(served.user_id())
    assert await rows(sdk, served.user_id()) == {}


async def test_the_list_of_users_is_read(served: Served, sdk: AsyncJunction) -> None:
    """Users and their sources arrive page by page."""
    page = await sdk.user.get_all(offset=10, limit=5)
    assert (page.total, page.offset, page.limit, len(page.users)) == (40, 10, 5, 5)
    user = served.simulator.world.users.find(page.users[0].user_id)
    assert user is not None
    assert page.users[0].client_user_id == user.client_user_id
    assert page.users[0].created_on == user.created_on
    assert [each.provider.slug for each in page.users[0].connected_sources] == list(user.connections)


async def test_the_metrics_are_read(served: Served, sdk: AsyncJunction) -> None:
    """The totals arrive as numbers."""
    metrics = await sdk.user.get_team_metrics()
    total, errored = served.simulator.world.users.counts()
    assert metrics.number_of_users == 40
    assert (metrics.number_of_connected_sources, metrics.number_of_errored_connected_sources) == (total, errored)


async def test_a_bad_uuid_is_the_sdks_own_exception(sdk: AsyncJunction) -> None:
    """422 is what the SDK calls unprocessable, with a string for detail."""
    with pytest.raises(UnprocessableEntityError) as caught:
        await sdk.user.get_connected_providers("nonsense")
    assert isinstance(caught.value.body.detail, str)


async def test_too_large_a_page_is_the_sdks_own_exception(sdk: AsyncJunction) -> None:
    """422 with a list for detail."""
    with pytest.raises(UnprocessableEntityError) as caught:
        await sdk.user.get_all(limit=501)
    assert isinstance(caught.value.body.detail, list)


async def test_a_gone_user_is_an_api_error(served: Served, sdk: AsyncJunction) -> None:
    """404 with the vendor's sentence."""
    served.simulator.world.delete_user(served.user_id())
    with pytest.raises(ApiError) as caught:
        await sdk.user.get_connected_providers(served.user_id())
    assert caught.value.status_code == 404
    assert caught.value.body == {"detail": "You have scheduled this user for deletion."}


async def test_a_wrong_key_is_an_api_error(served: Served) -> None:
    """401 with a detail."""
    async with httpx.AsyncClient(verify=UNUSED_TLS) as client:
        stranger = AsyncJunction(base_url=served.url, api_key="sk_us_x", max_retries=0, httpx_client=client)
        with pytest.raises(ApiError) as caught:
            await stranger.user.get_team_metrics()
    assert (caught.value.status_code, list(caught.value.body)) == (401, ["detail"])


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.THROTTLE, 429, {"detail": "Too many requests"}),
        (Fault.THROTTLE_DATE, 429, {"detail": "Too many requests"}),
        (Fault.THROTTLE_BARE, 429, {"detail": "Too many requests"}),
        (Fault.UNAVAILABLE, 503, {"detail": "Service unavailable"}),
        (Fault.SERVER_ERROR, 500, "Internal Server Error"),
    ],
)
async def test_refusals_are_api_errors(
    served: Served, sdk: AsyncJunction, fault: Fault, status: int, body: object
) -> None:
    """The SDK reads JSON bodies as such and others as text."""
    served.simulator.faults.set(FaultOrder(fault=fault))
    with pytest.raises(ApiError) as caught:
        await sdk.user.get_connected_providers(served.user_id())
    assert (caught.value.status_code, caught.value.body) == (status, body)


async def test_the_sdk_waits_as_long_as_it_is_told(served: Served) -> None:
    """Its own retry understands our ``Retry-After`` and succeeds once the fault is over."""
    served.simulator.faults.set(FaultOrder(fault=Fault.THROTTLE, retry_after=1, lasts=0.5))
    async with httpx.AsyncClient(verify=UNUSED_TLS) as client:
        patient = AsyncJunction(base_url=served.url, api_key=KEY, max_retries=1, httpx_client=client)
        assert await rows(patient, served.user_id())
    assert served.simulator.traffic.codes == {"429": 1, "200": 1}


async def test_the_synchronous_client_reads_the_same(served: Served, sdk: AsyncJunction) -> None:
    """Both clients of the vendor agree on users, connections and errors."""

    def look() -> tuple[list[str], Any]:
        with httpx.Client(verify=UNUSED_TLS) as client:
            junction = Junction(base_url=served.url, api_key=KEY, max_retries=0, httpx_client=client)
            listed = [user.user_id for user in junction.user.get_all(limit=500).users]
            with pytest.raises(UnprocessableEntityError):
                junction.user.get_connected_providers("nonsense")
            return listed, junction.user.get_connected_providers(listed[0])["providers"]

    listed, providers = await asyncio.to_thread(look)
    assert len(listed) == 40
    assert {row.slug: row for row in providers} == await rows(sdk, listed[0])


def _connected(served: Served) -> tuple[str, str]:
    for index in range(served.simulator.world.users.size):
        user = served.simulator.world.users.at(index)
        for slug, row in user.connections.items():
            if row.status == "connected":
                return user.user_id, slug
    raise AssertionError


def _break(served: Served, **options: Any) -> Any:
    (change,) = served.simulator.world.change(Do.BREAK, *_connected(served), **options)
    return change

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import Connection, Intent, Kind
from monitor.core.tally import Count, Key
from tests.store.contract_stage import ANN, BOB, OTHER_TARGET, TARGET, broken, connected

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage


async def test_an_empty_store_counts_nothing(stage: Stage) -> None:
    """Not even zeros: no label is known yet."""
    assert await stage.store.views.counts() == {}


async def test_connections_are_counted_by_provider_status_and_error_type(stage: Stage) -> None:
    """An error without a type is counted as such."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected("fitbit"), broken("oura"), broken("garmin", error_type=None))
    await stage.see(BOB, connected("fitbit"), Connection(provider="oura", status="paused"))
    counts = {key: amount for key, amount in (await stage.counts()).items() if key.count is Count.CONNECTIONS}
    assert counts == {
        Key(TARGET, Count.CONNECTIONS, "fitbit", "connected", ""): 2,
        Key(TARGET, Count.CONNECTIONS, "oura", "error", "token_refresh_failed"): 1,
        Key(TARGET, Count.CONNECTIONS, "garmin", "error", "unspecified"): 1,
        Key(TARGET, Count.CONNECTIONS, "oura", "paused", ""): 1,
    }


async def test_unavailable_resources_are_counted(stage: Stage) -> None:
    """Until they are available again."""
    await stage.register(ANN)
    await stage.see(ANN, connected(resources={"sleep": "scope", "body": "available"}))
    key = Key(TARGET, Count.RESOURCES_UNAVAILABLE, "fitbit", "sleep")
    assert (await stage.counts())[key] == 1
    await stage.see(ANN, connected(resources={"sleep": "available", "body": "available"}))
    assert (await stage.store.views.counts())[key] == 0


async def test_a_count_that_fell_to_nothing_is_kept_as_zero(stage: Stage) -> None:
    """So that its series can be exported as 0."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN)
    assert (await stage.store.views.counts())[Key(TARGET, Count.CONNECTIONS, "fitbit", "connected")] == 0


async def test_transitions_are_counted_by_provider_kind_and_error_type(stage: Stage) -> None:
    """A running total: the error type is the one it came into, or the one it left."""
    await stage.register(ANN)
    for _ in range(2):
        await stage.see(ANN, broken())
        await stage.see(ANN, connected())
    counts = {key: amount for key, amount in (await stage.counts()).items() if key.count is Count.TRANSITIONS}
    assert counts == {
        Key(TARGET, Count.TRANSITIONS, "fitbit", Kind.ERRORED, "token_refresh_failed"): 2,
        Key(TARGET, Count.TRANSITIONS, "fitbit", Kind.RECOVERED, "token_refresh_failed"): 2,
    }


async def test_targets_are_counted_apart(stage: Stage) -> None:
    """The same user in two of them is two."""
    for target in (TARGET, OTHER_TARGET):
        await stage.register(ANN, target=target)
        await stage.see(ANN, connected(), target=target)
    counts = await stage.counts()
    for target in (TARGET, OTHER_TARGET):
        assert counts[Key(target, Count.CONNECTIONS, "fitbit", "connected")] == 1
        assert counts[Key(target, Count.USERS, "active")] == 1


async def test_users_are_counted_by_state(stage: Stage) -> None:
    """What the vendor calls invalid is paused; a removed user is nowhere."""
    await stage.register(ANN, BOB)
    await stage.go(ANN)
    await stage.refuse(BOB)
    counts = await stage.counts()
    assert counts[Key(TARGET, Count.USERS, "gone")] == 1
    assert counts[Key(TARGET, Count.USERS, "paused")] == 1
    await stage.store.cohort.set_intent(TARGET, None, Intent.REMOVED, now=stage.now)
    assert not any(key.count is Count.USERS for key in await stage.counts())


async def test_the_store_answers_a_ping(stage: Stage) -> None:
    """It is at the schema that it was built for."""
    await stage.store.views.ping()

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.model import Connection, Intent, Kind
from monitor.core.tally import Count, Key
from monitor.ports import Recounted
from monitor.store import vocabulary
from monitor.store.memory.counts import Counts
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


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let there be few rows."""
    monkeypatch.setattr(vocabulary, "MOST_ROWS", 10)
    return 10


def flood(count: int, start: int = 0, **words: str) -> list[Connection]:
    """Return rows of invented providers."""
    return [connected(f"invented_{number:04}", **words) for number in range(start, start + count)]


async def of_connections(stage: Stage) -> dict[tuple[str, str, str], int]:
    """Return the counts of connections, zeros included."""
    counts = (await stage.store.views.counts()).items()
    return {(key.a, key.b, key.c): amount for key, amount in counts if key.count is Count.CONNECTIONS}


async def test_invented_words_make_no_rows_without_bound(few: int, stage: Stage) -> None:
    """What has no row is counted as other, and subtracted there again: the sums are always right."""
    await stage.register(ANN, BOB)
    await stage.see(BOB, connected())
    for poll in range(4):
        await stage.see(ANN, *flood(50, 40 * poll))
        counts = await of_connections(stage)
        assert len(counts) <= few + 2
        assert (sum(counts.values()), counts["fitbit", "connected", ""]) == (51, 1)
    assert len(await stage.store.views.counts()) < 6 * few
    await stage.see(ANN)
    assert {row: amount for row, amount in (await of_connections(stage)).items() if amount} == {
        ("fitbit", "connected", ""): 1
    }


async def test_a_known_provider_keeps_its_rows_in_a_flood(few: int, stage: Stage) -> None:
    """Known statuses and error types of a provider that has a row are never counted as other."""
    await stage.register(ANN, BOB)
    await stage.see(BOB, connected())
    await stage.see(ANN, *flood(5 * few))
    await stage.see(BOB, broken())
    assert (await of_connections(stage))["fitbit", "error", "token_refresh_failed"] == 1
    await stage.see(BOB, Connection(provider="fitbit", status="invented"))
    counts = await of_connections(stage)
    assert ("fitbit", "invented", "") not in counts
    assert counts["other", "other", ""] == 1


async def test_connections_in_error_are_counted_as_such_in_a_flood(few: int, stage: Stage) -> None:
    """The sum of connections in error is right, whatever their providers and error types."""
    await stage.register(ANN)
    await stage.see(ANN, *[broken(f"invented_{number}", error_type=f"e{number}") for number in range(3 * few)])
    counts = await of_connections(stage)
    assert sum(amount for (_, status, _), amount in counts.items() if status == "error") == 3 * few
    assert counts["other", "error", "other"] == 2 * few


async def test_rows_at_zero_are_pruned(stage: Stage) -> None:
    """Running totals stay, and so does all that is counted."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"), connected("oura", resources={"sleep": "scope"}))
    await stage.see(ANN, connected("fitbit"))
    before = await stage.counts()
    assert await stage.store.upkeep.prune_counts() == 2
    assert await stage.store.views.counts() == before
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    assert (await of_connections(stage))["oura", "connected", ""] == 1


async def test_rows_at_zero_stay_while_words_are_counted_as_other(few: int, stage: Stage) -> None:
    """Else a word would get a row while some of it is counted elsewhere, and be subtracted where it was not added."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, *flood(2 * few))
    await stage.see(ANN, *flood(few, few))
    await stage.store.upkeep.prune_counts()
    await stage.see(BOB, *flood(few, few))
    await stage.see(ANN)
    counts = await of_connections(stage)
    assert min(counts.values()) == 0
    assert counts["other", "connected", ""] == few
    await stage.see(BOB)
    await stage.store.upkeep.prune_counts()
    assert await of_connections(stage) == {}


async def test_running_totals_of_providers_that_are_gone_make_room(few: int, stage: Stage) -> None:
    """Nothing is lost: they go on as other; those of a provider that is there keep their rows."""
    await stage.register(ANN, BOB)
    await stage.see(BOB, connected())
    await stage.see(ANN, *flood(few - 2))
    await stage.see(ANN)
    before = sum(amount for key, amount in (await stage.counts()).items() if key.count is Count.TRANSITIONS)
    await stage.store.upkeep.prune_counts()
    totals = {key: amount for key, amount in (await stage.counts()).items() if key.count is Count.TRANSITIONS}
    assert sum(totals.values()) == before
    assert {(key.a, key.b) for key in totals} == {
        ("fitbit", Kind.APPEARED),
        ("other", Kind.APPEARED),
        ("other", Kind.DISAPPEARED),
    }
    await stage.see(BOB, connected(), connected("oura"))
    assert (await stage.counts())[Key(TARGET, Count.TRANSITIONS, "oura", Kind.APPEARED)] == 1


async def test_counts_that_are_wrong_are_found_and_repaired(stage: Stage) -> None:
    """Whatever is wrong with them, and also while polls move them."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected("fitbit"), broken("oura"))
    await stage.see(ANN, broken("fitbit"), broken("oura"))
    await stage.decide()
    right = await stage.counts()
    assert await stage.store.upkeep.count_differences() == {}
    spoilt = {
        key: Recounted(kept=0, counted=-amount if key.count is Count.TRANSITIONS else 3)
        for key, amount in right.items()
    }
    await stage.store.upkeep.repair_counts(spoilt)
    invented = Key(TARGET, Count.CONNECTIONS, "invented", "connected")
    await stage.store.upkeep.repair_counts({invented: Recounted(kept=0, counted=7)})
    found = await stage.store.upkeep.count_differences()
    assert found.keys() == right.keys() | {invented}
    assert {key: each.counted for key, each in found.items()} == right | {invented: 0}
    await stage.see(BOB, connected("fitbit"))
    await stage.store.upkeep.repair_counts(found)
    assert await stage.store.upkeep.count_differences() == {}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "add", "take", "take", "prune"]), st.integers(0, 11)), min_size=1, max_size=60
    )
)
def test_no_count_is_subtracted_where_it_was_not_added(steps: list[tuple[str, int]]) -> None:
    """Whatever comes and goes: no row is ever below zero, and at the end of all connections all rows are at zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "MOST_ROWS", 4)
        rows, held = Counts(), Counter[Key]()
        for step, number in steps:
            key = Key(TARGET, Count.CONNECTIONS, f"p{number % 6}", ("connected", "odd")[number // 6])
            if step == "add":
                held[key] += 1
                rows.update({key: 1})
            elif step == "prune":
                rows.prune()
            elif held[key]:
                held[key] -= 1
                rows.subtract({key: 1})
            assert min(rows.values(), default=0) >= 0
            assert sum(rows.values()) == sum(held.values())
        rows.subtract(held)
        assert set(rows.values()) <= {0}


async def test_the_store_answers_a_ping(stage: Stage) -> None:
    """It is at the schema that it was built for."""
    await stage.store.views.ping()

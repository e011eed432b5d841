from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.core.diff import replay
from monitor.core.model import Kind, Outcome
from monitor.ports import PastSnapshot
from tests.store.contract_stage import ANN, BOB, CID, OTHER_TARGET, START, TARGET, broken, connected

if TYPE_CHECKING:
    from datetime import datetime

    from tests.store.contract_stage import Stage

AN_INSTANT = timedelta(microseconds=1)


async def at(stage: Stage, moment: datetime) -> PastSnapshot | None:
    """Return the snapshot of the one user as it stood at ``moment``."""
    return await stage.store.views.snapshot_at(TARGET, ANN, moment)


async def test_a_snapshot_lasts_as_long_as_polls_see_the_same(stage: Stage) -> None:
    """It is written once; its end moves with every good poll."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    first = stage.now
    await stage.see_the_same(ANN)
    await stage.see(ANN, connected())
    expected = PastSnapshot(first_observed_at=first, last_observed_at=stage.now, gone=False, connections=(connected(),))
    assert await at(stage, first) == expected
    assert await at(stage, stage.now + timedelta(days=9)) == expected


async def test_before_the_first_snapshot_there_is_none(stage: Stage) -> None:
    """Nor is there one of users that were never polled or never known."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected())
    assert await at(stage, stage.now - AN_INSTANT) is None
    assert await stage.store.views.snapshot_at(TARGET, BOB, stage.now) is None
    assert await stage.store.views.snapshot_at(TARGET, CID, stage.now) is None
    assert await stage.store.views.snapshot_at(OTHER_TARGET, ANN, stage.now) is None


async def test_a_change_closes_one_snapshot_and_opens_the_next(stage: Stage) -> None:
    """Between the last poll that saw the old and the first that saw the new, the old one stands."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    first = stage.now
    await stage.see_the_same(ANN)
    last = stage.now
    await stage.fail(ANN, Outcome.TIMEOUT)
    await stage.see(ANN, broken())
    old = PastSnapshot(first_observed_at=first, last_observed_at=last, gone=False, connections=(connected(),))
    new = PastSnapshot(first_observed_at=stage.now, last_observed_at=stage.now, gone=False, connections=(broken(),))
    assert await at(stage, stage.now - AN_INSTANT) == old
    assert await at(stage, stage.now) == new


async def test_a_user_that_goes_and_returns_has_a_snapshot_of_its_absence(stage: Stage) -> None:
    """Gone from the second 404 to the answer that came after it."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    seen_at = stage.now
    await stage.go(ANN)
    went_at = stage.now
    await stage.miss(ANN)
    await stage.see(ANN, connected())
    before, absence, after = await at(stage, seen_at), await at(stage, went_at), await at(stage, stage.now)
    assert before == PastSnapshot(
        first_observed_at=seen_at, last_observed_at=seen_at, gone=False, connections=(connected(),)
    )
    assert absence == PastSnapshot(first_observed_at=went_at, last_observed_at=went_at, gone=True, connections=())
    assert after is not None
    assert (after.first_observed_at, after.gone) == (stage.now, False)


async def test_the_absence_of_a_user_that_was_never_seen_is_kept(stage: Stage) -> None:
    """An id that was wrong from the start has a history too."""
    await stage.register(ANN)
    await stage.go(ANN)
    assert await at(stage, stage.now) == PastSnapshot(
        first_observed_at=stage.now, last_observed_at=stage.now, gone=True, connections=()
    )


async def test_every_snapshot_is_what_replaying_the_transitions_until_then_gives(stage: Stage) -> None:
    """At each time that something changed, and just before."""
    await stage.register(ANN)
    times = []
    for rows in ([connected()], [broken()], [broken(), connected("oura")], [connected("oura")], [], [broken()]):
        await stage.see(ANN, *rows)
        times.append(stage.now)
        if not rows:
            await stage.go(ANN)
            times.append(stage.now)
    for moment in times:
        past = await at(stage, moment)
        assert past is not None
        facts = await stage.transitions(user_id=ANN, until=moment + AN_INSTANT)
        assert {each.provider: each for each in past.connections} == replay(facts)


async def test_the_connections_of_a_snapshot_come_by_provider(stage: Stage) -> None:
    """In whichever order the vendor sent them."""
    await stage.register(ANN)
    await stage.see(ANN, *(connected(each) for each in ("oura", "Zeta", "fitbit")))
    past = await at(stage, stage.now)
    assert past is not None
    assert [each.provider for each in past.connections] == ["Zeta", "fitbit", "oura"]


async def test_transitions_can_be_asked_for_by_each_of_their_words(stage: Stage) -> None:
    """Conditions are taken together."""
    await stage.register(ANN, BOB)
    await stage.register(ANN, target=OTHER_TARGET)
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    await stage.see(BOB, connected("fitbit"))
    await stage.see(ANN, connected("fitbit"), target=OTHER_TARGET)
    await stage.see(ANN, broken("fitbit"), connected("oura"))
    assert len(await stage.transitions()) == 5
    assert len(await stage.transitions(target=OTHER_TARGET)) == 1
    assert len(await stage.transitions(user_id=ANN)) == 4
    assert len(await stage.transitions(user_id=ANN, target=TARGET, provider="fitbit")) == 2
    assert await stage.kinds(kind=Kind.ERRORED) == [Kind.ERRORED]
    assert await stage.transitions(provider="garmin") == []


async def test_since_is_inclusive_and_until_is_not(stage: Stage) -> None:
    """So that one window ends where the next begins."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    now = stage.now
    assert await stage.kinds(since=now) == [Kind.ERRORED]
    assert await stage.kinds(until=now) == [Kind.APPEARED]
    assert await stage.kinds(since=now + AN_INSTANT) == []
    assert await stage.kinds(since=START, until=now + AN_INSTANT) == [Kind.APPEARED, Kind.ERRORED]


async def test_transitions_come_oldest_observation_first(stage: Stage) -> None:
    """Also where an older observation was committed later."""
    await stage.register(ANN, BOB)
    (older,) = await stage.seen_together(ANN, rows=(connected(),))
    stage.now -= timedelta(seconds=59)
    (newer,) = await stage.seen_together(BOB, rows=(connected(),))
    await stage.commit(newer)
    await stage.commit(older)
    assert [each.user_id for each in await stage.transitions()] == [ANN, BOB]


async def test_transitions_of_one_poll_come_in_the_order_of_the_diff(stage: Stage) -> None:
    """A return first, then by provider, the status before the resources."""
    await stage.register(ANN)
    await stage.go(ANN)
    await stage.see(ANN, connected("oura"), broken("fitbit"))
    assert await stage.kinds(since=stage.now) == [Kind.USER_RETURNED, Kind.ERRORED, Kind.APPEARED]
    await stage.see(ANN, connected("a", resources={"x": "available"}), connected("b"))
    await stage.see(ANN, broken("a", resources={"x": "lost"}), broken("b"), broken("c"))
    found = [(each.provider, each.kind) for each in await stage.transitions(since=stage.now)]
    assert found == [
        ("a", Kind.ERRORED),
        ("a", Kind.RESOURCE_LOST),
        ("b", Kind.ERRORED),
        ("c", Kind.ERRORED),
    ]


async def test_a_reader_who_stops_early_leaves_the_store_usable(stage: Stage) -> None:
    """A pager that quits is no error."""
    await stage.register(ANN, BOB, CID)
    async for _ in stage.store.cohort.members(None):
        break
    await stage.see(ANN, connected())
    assert len(await stage.connections()) == 1


async def test_the_store_can_be_changed_while_it_is_read(stage: Stage) -> None:
    """Whoever lists the cohort may decide about each member on the way."""
    await stage.register(ANN, BOB, CID)
    async for each in stage.store.cohort.members(TARGET):
        await stage.see(each.user_id, connected())
    assert len(await stage.connections()) == 3

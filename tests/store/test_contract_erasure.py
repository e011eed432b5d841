from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import select

from monitor.core.model import Intent, Kind
from monitor.core.tally import Count
from monitor.core.telling import Telling
from monitor.ports import Done
from monitor.store import SqlStore, tables
from tests.store.contract_stage import ANN, BOB, OTHER_TARGET, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from monitor.ports import Store


async def live(stage: Stage, user: UUID, *, target: str = TARGET) -> None:
    """Let a user leave a trace of every kind."""
    await stage.see(user, connected("fitbit"), connected("oura"), target=target)
    await stage.see(user, broken("fitbit", errored_at=stage.now), connected("oura"), target=target)
    await stage.decide()


async def test_erasing_a_user_leaves_nothing_of_it(stage: Stage) -> None:
    """No member, connection, snapshot, transition, alert or notice; only running totals, which name nobody."""
    await stage.register(ANN)
    await live(stage, ANN)
    assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.store.cohort.member(TARGET, ANN) is None
    assert await stage.connections() == []
    assert await stage.transitions() == []
    assert await stage.alerts() == []
    assert await stage.notices() == []
    assert await stage.store.views.snapshot_at(TARGET, ANN, stage.now) is None
    assert {key.count for key in await stage.counts()} == {Count.TRANSITIONS}


async def test_erasing_one_user_leaves_every_other_alone(stage: Stage) -> None:
    """Also the one with the same id in another target."""
    await stage.register(ANN, BOB)
    await stage.register(ANN, target=OTHER_TARGET)
    for user, target in ((ANN, TARGET), (BOB, TARGET), (ANN, OTHER_TARGET)):
        await live(stage, user, target=target)
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    left = [(each.target, each.user_id) async for each in stage.store.cohort.members(None)]
    assert left == [(OTHER_TARGET, ANN), (TARGET, BOB)]
    assert len(await stage.connections()) == 4
    assert len(await stage.transitions()) == 6
    assert [each.payload["target"] for each in await stage.notices()] == [TARGET, OTHER_TARGET]


async def test_running_totals_never_go_down(stage: Stage) -> None:
    """A counter that falls looks like a restart."""
    await stage.register(ANN)
    await live(stage, ANN)
    before = {key: amount for key, amount in (await stage.counts()).items() if key.count is Count.TRANSITIONS}
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.counts() == before


async def test_notices_that_were_written_are_erased_too(stage: Stage) -> None:
    """Marking them afterwards is no error: the line was on its way."""
    await stage.register(ANN)
    await live(stage, ANN)
    (notice,) = await stage.notices()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await stage.store.outbox.settle([notice], Done.DELIVERED, now=stage.now)
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 0


async def test_a_removed_user_can_be_erased(stage: Stage) -> None:
    """Its counts went with the removal, and go only once."""
    await stage.register(ANN)
    await live(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert {key.count for key in await stage.counts()} == {Count.TRANSITIONS}
    assert await stage.transitions() == []
    assert await stage.notices() == []


async def test_paused_gone_and_invalid_users_can_be_erased(stage: Stage) -> None:
    """Whatever state a user is counted under, it leaves it."""
    for spoil in (stage.go, stage.refuse, lambda user: _pause(stage, user)):
        await stage.register(ANN)
        await live(stage, ANN)
        await spoil(ANN)
        assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
        assert {key.count for key in await stage.counts()} == {Count.TRANSITIONS}


async def test_erasing_who_is_not_known_says_so(stage: Stage) -> None:
    """And is no error, twice neither."""
    await stage.register(ANN)
    assert not await stage.store.cohort.erase(TARGET, BOB, now=stage.now)
    assert await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert not await stage.store.cohort.erase(TARGET, ANN, now=stage.now)


async def test_an_erased_user_can_be_registered_again(stage: Stage) -> None:
    """It is new, and its first snapshot is a first one."""
    await stage.register(ANN)
    await live(stage, ANN)
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert (await stage.register(ANN)).added == 1
    await stage.see(ANN, connected())
    (fact,) = await stage.transitions()
    assert (fact.kind, fact.baseline) == (Kind.APPEARED, True)


async def test_an_erased_user_is_not_registered_by_discovery(stage: Stage) -> None:
    """Who asked to be forgotten stays away, however often the target lists it; others come as before."""
    await stage.register(ANN)
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    came = await stage.register(ANN, BOB, revive=False)
    assert (came.added, came.returned, came.known) == (1, 0, 0)
    assert await stage.store.cohort.member(TARGET, ANN) is None
    assert (await stage.register(ANN, target=OTHER_TARGET, revive=False)).added == 1


async def test_a_person_brings_an_erased_user_back(stage: Stage) -> None:
    """Then it is a user as every other, also to discovery."""
    await stage.register(ANN)
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert (await stage.register(ANN)).added == 1
    assert (await stage.register(ANN, revive=False)).known == 1
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    assert (await stage.register(ANN, revive=False)).known == 1


async def test_many_erased_users_stay_away(stage: Stage) -> None:
    """Their hashes are looked up some at a time."""
    crowd = [UUID(int=number) for number in range(1, 1201)]
    await stage.register(*crowd)
    for each in crowd[::100]:
        await stage.store.cohort.erase(TARGET, each, now=stage.now)
    came = await stage.register(*crowd, revive=False)
    assert (came.added, came.known) == (0, 1188)
    assert (await stage.register(*crowd)).added == 12


@pytest.mark.parametrize("store_kind", ["sqlite", "postgresql"])
async def test_what_is_kept_of_an_erased_user_does_not_name_it(store: Store) -> None:
    """A hash with a salt of the target, and the time."""
    assert isinstance(store, SqlStore)
    stage = Stage(store)
    await stage.register(ANN)
    await stage.register(ANN, target=OTHER_TARGET)
    for target in (TARGET, OTHER_TARGET):
        await store.cohort.erase(target, ANN, now=stage.now)
    async with store._database.reading() as connection:
        kept = (await connection.execute(select(tables.erased))).all()
    assert len({row.digest for row in kept}) == 2
    assert not [row for row in kept if ANN.bytes in row.digest or ANN.hex.encode() in row.digest]
    assert all(abs(row.erased_at - datetime.now(UTC)) < timedelta(minutes=1) for row in kept)


async def _pause(stage: Stage, user: UUID) -> None:
    await stage.store.cohort.set_intent(TARGET, [user], Intent.PAUSED, now=stage.now)


async def test_a_sink_that_heard_of_an_alert_hears_of_its_end(stage: Stage) -> None:
    """And of nothing else: no word of the user, its connection or its error is in it."""
    await stage.register(ANN)
    await live(stage, ANN)
    (fired,) = await stage.notices()
    await stage.deliver()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    (ended,) = await stage.notices()
    assert (ended.alert_id, ended.state, ended.event) == (fired.alert_id, "resolved", fired.event)
    sent = Telling(user_id=str, runbook_base_url="https://runbooks.example.com").told(ended.payload)
    assert {name for name, word in sent.items() if word is not None} == {
        "schema",
        "alert_id",
        "state",
        "target",
        "observed_at",
    }
    assert sent.keys() == Telling(user_id=str, runbook_base_url=None).told(fired.payload).keys()


async def test_a_sink_that_did_not_hear_of_an_alert_does_not_hear_of_its_end(stage: Stage) -> None:
    """What still waited is dropped."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    await stage.decide(sinks=["log", "pager"])
    await stage.deliver("pager")
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    undelivered = await stage.store.outbox.undelivered()
    assert {name: amount for name, amount in undelivered.items() if amount} == {"pager": 1}


async def test_what_was_being_sent_has_its_end_sent(stage: Stage) -> None:
    """It may have arrived."""
    await stage.register(ANN)
    await live(stage, ANN)
    assert len(await stage.claim_notifications()) == 1
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert [each.state for each in await stage.notices()] == ["resolved"]


async def test_an_end_that_was_sent_is_not_sent_again(stage: Stage) -> None:
    """The sink knows that it is over."""
    await stage.register(ANN)
    await live(stage, ANN)
    await stage.see(ANN, connected())
    await stage.decide()
    await stage.deliver()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.notices() == []


async def test_an_end_that_waited_is_sent_without_a_word_about_the_user(stage: Stage) -> None:
    """In place of the one that named it."""
    await stage.register(ANN)
    await live(stage, ANN)
    (claimed,) = await stage.claim_notifications()
    await stage.store.outbox.settle([claimed], Done.DELIVERED, now=stage.now)
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    await stage.decide()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert [(each.state, each.payload["user_id"]) for each in await stage.notices()] == [("resolved", None)]


async def test_no_result_of_an_erased_user_s_delivery_is_written_to_another_alert(stage: Stage) -> None:
    """Whatever number its notification gets."""
    await stage.register(ANN, BOB)
    await live(stage, ANN)
    in_flight = await stage.claim_notifications()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await live(stage, BOB)
    await stage.store.outbox.settle(in_flight, Done.DELIVERED, now=stage.now)
    assert [(each.state, each.payload["user_id"]) for each in await stage.notices()] == [
        ("resolved", None),
        ("firing", str(BOB)),
    ]

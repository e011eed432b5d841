"""Pruning by age: what is past goes, what is present stays, whatever its age."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.diff import replay
from monitor.core.model import Kind
from monitor.core.policy import IncidentRule
from monitor.ports import Done
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, POLICY, TARGET, broken, connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.ports import Cursor
    from tests.store.contract_stage import Stage
    from tests.store.telling import Teller

LATER = timedelta(days=1000)


async def prune(stage: Stage, before: datetime | None = None, *, limit: int = 1000) -> int:
    """Prune transitions to the end, and return how many went."""
    total, cursor, ended = 0, None, False
    at = before or stage.now + LATER
    while not ended:
        step = await stage.store.upkeep.prune_transitions(at, limit=limit, cursor=cursor)
        total, cursor, ended = total + step.deleted, step.cursor, step.cursor is None
    return total


async def live(stage: Stage) -> None:
    """Let two users live through everything."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected(resources={"sleep": "available"}), connected("oura"))
    await stage.see(ANN, connected(resources={"sleep": "scope"}), broken("oura"))
    await stage.see(ANN, broken(resources={"sleep": "scope"}), connected("oura"))
    await stage.see(ANN, connected(resources={"sleep": "scope"}))
    await stage.see(BOB, connected(), connected("oura"))
    await stage.go(BOB)
    await stage.see(BOB, connected("oura"))
    await stage.decide()


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_what_is_left_still_leads_to_the_present(stage: Stage, limit: int) -> None:
    """The last word on each connection and resource stays; all that it supersedes goes."""
    await live(stage)
    before = await stage.transitions()
    assert await prune(stage, limit=limit) == len(before) - len(await stage.transitions())
    left = [(each.user_id, each.provider, each.kind) for each in await stage.transitions()]
    assert left == [
        (ANN, "fitbit", Kind.RESOURCE_LOST),
        (ANN, "fitbit", Kind.RECOVERED),
        (ANN, "oura", Kind.DISAPPEARED),
        (BOB, None, Kind.USER_RETURNED),
        (BOB, "oura", Kind.APPEARED),
    ]
    assert replay(await stage.transitions(user_id=ANN))["fitbit"].status == "connected"


async def test_nothing_younger_than_its_age_goes(stage: Stage) -> None:
    """The limit is exclusive: what was observed then stays."""
    await live(stage)
    second = (await stage.transitions())[2]
    assert second.observed_at > (await stage.transitions())[0].observed_at
    assert await prune(stage, second.observed_at) == 2
    assert second in await stage.transitions()


async def test_pruning_again_finds_nothing_more(stage: Stage) -> None:
    """What may stay for ever is looked at again and left."""
    await live(stage)
    assert await prune(stage) > 0
    assert await prune(stage) == 0


async def test_running_totals_are_left_alone(stage: Stage) -> None:
    """A counter of Prometheus never falls."""
    await live(stage)
    before = await stage.counts()
    await prune(stage)
    await stage.store.upkeep.prune_snapshots(stage.now + LATER, limit=1000)
    assert await stage.counts() == before


async def test_past_snapshots_go_and_the_current_one_stays(stage: Stage) -> None:
    """In small batches, oldest first; what stood before is not known any more."""
    await live(stage)
    first = (await stage.transitions())[0].observed_at
    prune_snapshots = stage.store.upkeep.prune_snapshots
    assert [await prune_snapshots(stage.now + LATER, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert await stage.store.views.snapshot_at(TARGET, ANN, first) is None
    current = await stage.store.views.snapshot_at(TARGET, ANN, stage.now)
    assert current is not None
    assert [each.provider for each in current.connections] == ["fitbit"]


async def test_a_snapshot_goes_when_it_ended_before_its_age(stage: Stage) -> None:
    """Its beginning does not matter."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    ended = stage.now
    await stage.see(ANN, broken())
    assert await stage.store.upkeep.prune_snapshots(ended, limit=10) == 0
    assert await stage.store.upkeep.prune_snapshots(ended + timedelta(seconds=1), limit=10) == 1


async def test_a_notice_that_waits_is_never_pruned(stage: Stage) -> None:
    """However old it is: it was not told."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    await stage.see(ANN, connected())
    await stage.decide()
    _, resolved = await stage.notices()
    await stage.store.outbox.settle(await stage.claim_notifications(), Done.DELIVERED, now=stage.now)
    await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10)
    assert [each.id for each in await stage.notices()] == [resolved.id]


async def test_an_open_alert_is_never_pruned(stage: Stage) -> None:
    """One that resolved goes with its age."""
    await stage.register(ANN)
    await stage.see(ANN, connected(), connected("oura"))
    await stage.see(ANN, broken(), broken("oura"))
    await stage.see(ANN, broken(), connected("oura"))
    await stage.decide()
    assert await stage.store.upkeep.prune_alerts(stage.now, limit=10) == 0
    assert await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10) == 1
    assert [(each.alert.provider, each.alert.state) for each in await stage.alerts()] == [("fitbit", "firing")]


async def test_an_alert_that_was_withdrawn_goes_with_its_age(stage: Stage) -> None:
    """Nobody was told of it, and nobody will ask."""
    stage.policy = replace(POLICY, confirm_for=timedelta(hours=1))
    await stage.register(ANN)
    for rows in (connected(), broken(), connected()):
        await stage.see(ANN, rows)
        await stage.decide()
    assert [each.alert.state for each in await stage.alerts()] == ["withdrawn"]
    assert await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10) == 1


async def test_a_transition_is_not_pruned_before_it_is_decided_on(stage: Stage) -> None:
    """However old it is: it asks for an alert."""
    await stage.register(ANN)
    for rows in (connected(), broken(), connected()):
        await stage.see(ANN, rows)
    await prune(stage)
    assert await stage.kinds() == [Kind.ERRORED, Kind.RECOVERED]
    await stage.decide()
    assert await stage.told() == [("fitbit", "firing"), ("fitbit", "resolved")]
    assert await prune(stage) == 1


async def test_a_walk_goes_on_where_it_stopped(stage: Stage) -> None:
    """Each step looks at no more rows than it may, and none twice."""
    await live(stage)
    cursors: list[Cursor | None] = [None]
    total = len(await stage.transitions())
    while len(cursors) == 1 or cursors[-1] is not None:
        step = await stage.store.upkeep.prune_transitions(stage.now + LATER, limit=3, cursor=cursors[-1])
        cursors.append(step.cursor)
    assert len(cursors) - 1 == total // 3 + 1


async def test_notifications_for_a_sink_that_is_not_configured_are_given_up_with_their_age(teller: Teller) -> None:
    """Those for a configured sink wait on, however old they are, and so do younger ones."""
    for number in range(3):
        await teller.tell(number, sinks=["pager", "removed"])
    before = teller.later(days=3)
    await teller.tell(3, sinks=["pager", "removed"])

    async def give_up() -> Mapping[str, int]:
        upkeep = teller.store.upkeep
        return await upkeep.give_up_unconfigured(["log", "pager"], before=before, now=teller.now, limit=2)

    assert [await give_up() for _ in range(3)] == [{"removed": 2}, {"removed": 1}, {}]
    waiting = await teller.store.outbox.undelivered()
    assert (waiting["pager"], waiting["removed"]) == (4, 1)


async def test_a_notification_in_flight_is_not_given_up(teller: Teller) -> None:
    """A replica that has the sink still sends it."""
    await teller.tell(1, sinks=["removed"])
    await teller.claim("removed")
    before = teller.now + LATER
    given_up = teller.store.upkeep.give_up_unconfigured
    assert await given_up(["log"], before=before, now=teller.now, limit=10) == {}
    teller.later(hours=1)
    assert await given_up(["log"], before=before, now=teller.now, limit=10) == {"removed": 1}


async def test_an_incident_goes_with_its_age_and_never_while_it_is_open(stage: Stage) -> None:
    """It is kept as long as the alerts of its members."""
    stage.policy = replace(POLICY, incident=IncidentRule(min_users=2, min_share=0.1, within=timedelta(minutes=15)))
    await stage.register(ANN, BOB)
    for rows in (connected(), broken()):
        for verdict in await stage.seen_together(ANN, BOB, rows=(rows,)):
            await stage.commit(verdict)
        await stage.decide()
    await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10)
    assert len(await kept.incidents(stage.store)) == 1
    for verdict in await stage.seen_together(ANN, BOB, rows=(connected(),)):
        await stage.commit(verdict)
    await stage.decide()
    stage.later(hours=1)
    await stage.decide()
    await stage.store.upkeep.prune_alerts(stage.now, limit=10)
    assert len(await kept.incidents(stage.store)) == 1
    await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10)
    assert await kept.incidents(stage.store) == []


async def test_an_incident_that_resolved_stays_while_a_member_s_alert_is_open(stage: Stage) -> None:
    """The alert carries its id, and a person asks what it was."""
    stage.policy = replace(POLICY, incident=IncidentRule(min_users=2, min_share=0.1, within=timedelta(minutes=15)))
    await stage.register(ANN, BOB)
    for rows in (connected(), broken()):
        for verdict in await stage.seen_together(ANN, BOB, rows=(rows,)):
            await stage.commit(verdict)
        await stage.decide()
    stage.later(days=1)
    await stage.decide()
    (incident,) = await kept.incidents(stage.store)
    assert incident.resolved_at is not None
    await stage.store.upkeep.prune_alerts(stage.now + LATER, limit=10)
    assert len(await kept.incidents(stage.store)) == 1

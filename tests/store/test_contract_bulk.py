from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.core import judge
from monitor.core.model import EARLIEST_VENDOR_TIME, LATEST_VENDOR_TIME, Intent
from monitor.core.tally import Count, Key
from monitor.ports import Registered
from tests.store.contract_stage import ANN, CADENCE, LEASE, START, TARGET, broken, connected

if TYPE_CHECKING:
    from monitor.core.model import Connection
    from tests.store.contract_stage import Stage

MANY = [UUID(int=number << 64) for number in range(1, 1_001)]


async def see_all(stage: Stage, users: list[UUID], *rows: Connection) -> None:
    """Poll all these users in one commit, with the same rows for an answer."""
    verdicts = await stage.seen_together(*users, rows=rows)
    assert len(await stage.store.polls.commit(verdicts, now=stage.now)) == len(users)


async def test_a_thousand_users_are_committed_at_once(stage: Stage) -> None:
    """With a change of each, its fact, its alert and its notice."""
    await stage.register(*MANY)
    await see_all(stage, MANY, connected("fitbit"), connected("oura"))
    await see_all(stage, MANY, broken("fitbit"), connected("oura"))
    await stage.decide()
    counts = await stage.counts()
    assert counts[Key(TARGET, Count.CONNECTIONS, "fitbit", "error", "token_refresh_failed")] == 1_000
    assert counts[Key(TARGET, Count.ALERTS, "fitbit", "warning")] == 1_000
    assert len(await stage.transitions()) == 3_000
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 1_000


async def test_a_thousand_unchanged_users_are_committed_at_once(stage: Stage) -> None:
    """A due time each and nothing else."""
    await stage.register(*MANY)
    await see_all(stage, MANY, connected())
    counts = await stage.counts()
    stage.later(minutes=1)
    claims = await stage.store.polls.claim_users(TARGET, MANY, now=stage.now, lease=LEASE)
    verdicts = [judge.unchanged(each, CADENCE, stage.now) for each in claims]
    assert len(await stage.store.polls.commit(verdicts, now=stage.now)) == 1_000
    assert await stage.counts() == counts
    due = {each.user_id: each.next_poll_at async for each in stage.store.cohort.members(TARGET)}
    assert due == {each.claim.user.user_id: each.next_poll_at for each in verdicts}


async def test_a_thousand_users_are_removed_and_back_at_once(stage: Stage) -> None:
    """Their counts go and come, their alerts end."""
    await stage.register(*MANY)
    await see_all(stage, MANY, connected())
    await see_all(stage, MANY, broken())
    await stage.decide()
    before = await stage.counts()
    assert await stage.store.cohort.set_intent(TARGET, None, Intent.REMOVED, now=stage.now) == set(MANY)
    await stage.decide()
    assert {key.count for key in await stage.counts()} == {Count.TRANSITIONS}
    assert await stage.register(*MANY) == Registered(added=0, returned=1_000, known=0)
    alert = Key(TARGET, Count.ALERTS, "fitbit", "warning")
    assert await stage.counts() == {key: amount for key, amount in before.items() if key != alert}
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 2_000


async def test_many_users_are_registered_out_of_a_stream(stage: Stage) -> None:
    """More than one statement can carry."""
    users = [UUID(int=number << 70) for number in range(1, 10_001)]
    assert (await stage.register(*users)).added == 10_000
    assert len(await stage.claim(limit=20_000)) == 10_000
    assert [each.user_id async for each in stage.store.cohort.members(TARGET)] == users


async def test_commits_at_the_same_time_all_count(stage: Stage) -> None:
    """They move the same counts, and neither wait for each other for ever nor forget one."""
    users = MANY[:60]
    await stage.register(*users)
    await see_all(stage, users, connected("a"), broken("b"), connected("c"))
    verdicts = await stage.seen_together(*users, rows=(broken("c"), broken("a")))
    await asyncio.gather(
        *(stage.store.polls.commit(verdicts[start::6], now=stage.now) for start in range(6)),
        stage.store.cohort.set_intent(TARGET, [], Intent.PAUSED, now=stage.now),
    )
    counts = await stage.counts()
    assert counts[Key(TARGET, Count.CONNECTIONS, "c", "error", "token_refresh_failed")] == 60
    assert Key(TARGET, Count.CONNECTIONS, "b", "error", "token_refresh_failed") not in counts


async def test_times_keep_their_microseconds(stage: Stage) -> None:
    """Wherever one is kept, up to the far ends of what a vendor may say."""
    odd = START + timedelta(microseconds=1)
    early = EARLIEST_VENDOR_TIME + timedelta(microseconds=1)
    late = LATEST_VENDOR_TIME
    stage.now = odd
    await stage.register(ANN)
    stage.now += timedelta(microseconds=1)
    await stage.see(ANN, connected("a", created_on=early), broken("b", errored_at=late))
    first, second = await stage.connections()
    assert (first.connection.created_on, second.connection.errored_at) == (early, late)
    assert first.since == stage.now
    member = await stage.store.cohort.member(TARGET, ANN)
    assert member is not None
    assert (member.registered_at, member.observed_at) == (odd, stage.now)

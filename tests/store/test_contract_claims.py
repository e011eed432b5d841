from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.core.cadence import next_due
from monitor.core.model import Intent, Outcome, Presence
from tests.store.contract_stage import (
    ANN,
    BOB,
    CADENCE,
    CID,
    DAN,
    LEASE,
    OTHER_TARGET,
    START,
    TARGET,
    connected,
    digest,
)

if TYPE_CHECKING:
    from datetime import datetime

    from tests.store.contract_stage import Stage

AN_INSTANT = timedelta(microseconds=1)


async def due_at(stage: Stage, user: UUID) -> datetime:
    """Return when a member is due."""
    member = await stage.store.cohort.member(TARGET, user)
    assert member is not None
    return member.next_poll_at


async def test_the_user_due_longest_is_claimed_first(stage: Stage) -> None:
    """Users come out of the queue in the order in which they became due, not that of their ids."""
    for user in (CID, ANN, BOB):
        await stage.register(user)
        stage.later(seconds=1)
    assert await stage.claim() == [CID, ANN, BOB]


async def test_a_claim_takes_no_more_than_its_limit(stage: Stage) -> None:
    """The rest is left for the next claim."""
    await stage.register(ANN, BOB, CID)
    first = await stage.claim(limit=2)
    second = await stage.claim(limit=2)
    assert (len(first), len(second)) == (2, 1)
    assert {*first, *second} == {ANN, BOB, CID}


async def test_a_claim_of_nobody_takes_nobody(stage: Stage) -> None:
    """A budget of none leaves the queue as it is."""
    await stage.register(ANN)
    assert await stage.claim(limit=0) == []
    assert await stage.claim() == [ANN]


async def test_a_user_is_not_claimed_before_it_is_due(stage: Stage) -> None:
    """A user is due from the very instant that its verdict names."""
    await stage.register(ANN)
    verdict = await stage.see(ANN)
    stage.now = verdict.next_poll_at - AN_INSTANT
    assert await stage.claim() == []
    stage.now = verdict.next_poll_at
    assert await stage.claim() == [ANN]


async def test_a_claim_is_of_one_target(stage: Stage) -> None:
    """The same user id in two targets is two users."""
    await stage.register(ANN)
    await stage.register(ANN, BOB, target=OTHER_TARGET)
    assert await stage.claim() == [ANN]
    assert set(await stage.claim(target=OTHER_TARGET)) == {ANN, BOB}


async def test_a_user_under_a_live_lease_is_not_handed_out(stage: Stage) -> None:
    """Until the lease expires one process alone has the user in hand."""
    await stage.register(ANN)
    await stage.claim()
    stage.now += LEASE - AN_INSTANT
    assert await stage.claim() == []
    assert await stage.store.polls.claim_users(TARGET, [ANN], now=stage.now, lease=LEASE) == []


async def test_a_user_whose_lease_expired_is_handed_out_again(stage: Stage) -> None:
    """What a dead process had in hand is another's after the lease, under a lease of its own."""
    await stage.register(ANN)
    dead = await stage.take(ANN)
    stage.now += LEASE + AN_INSTANT
    alive = await stage.take(ANN)
    assert (alive.key, alive.due_at) == (dead.key, dead.due_at)
    assert alive.lease != dead.lease


async def test_a_claim_carries_what_the_last_poll_left(stage: Stage) -> None:
    """A poll needs nothing but its claim as long as the answer is the same."""
    await stage.register(ANN)
    verdict = await stage.see(ANN, connected())
    claim = await stage.take(ANN)
    assert (claim.user.target, claim.user.user_id) == (TARGET, ANN)
    assert (claim.due_at, claim.observed_at) == (verdict.next_poll_at, verdict.observed_at)
    assert (claim.digest, claim.failures) == (digest(connected()), 0)
    assert (claim.presence, claim.missing_since) == (Presence.PRESENT, None)


async def test_a_claim_carries_failures_and_the_first_404(stage: Stage) -> None:
    """Back-off and the second 404 go on where the last poll stopped."""
    await stage.register(ANN)
    await stage.fail(ANN, Outcome.TIMEOUT)
    verdict = await stage.miss(ANN)
    claim = await stage.take(ANN)
    assert (claim.failures, claim.missing_since) == (2, verdict.missing_since)


async def test_gone_users_are_claimed_when_they_are_due(stage: Stage) -> None:
    """A gone user may come back, so it is asked for, seldom."""
    await stage.register(ANN)
    verdict = await stage.go(ANN)
    assert await stage.claim() == []
    stage.now = verdict.next_poll_at
    assert await stage.claim() == [ANN]


async def test_paused_and_removed_users_are_never_claimed(stage: Stage) -> None:
    """Nobody asks for a user that a person took out, due or named."""
    await stage.register(ANN, BOB, DAN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.PAUSED, now=stage.now)
    await stage.store.cohort.set_intent(TARGET, [BOB], Intent.REMOVED, now=stage.now)
    stage.later(days=2)
    named = await stage.store.polls.claim_users(TARGET, [ANN, BOB], now=stage.now, lease=LEASE)
    assert named == []
    assert await stage.claim() == [DAN]


async def test_invalid_users_are_claimed_when_they_are_due(stage: Stage) -> None:
    """An invalid user may become valid, so it is asked for, seldom."""
    await stage.register(CID)
    verdict = await stage.refuse(CID)
    assert await stage.claim() == []
    stage.now = verdict.next_poll_at
    assert await stage.claim() == [CID]


async def test_named_users_are_claimed_whether_due_or_not(stage: Stage) -> None:
    """Users that are not known are left out, and a name given twice is one user."""
    await stage.register(ANN, BOB)
    await stage.see(ANN)
    claims = await stage.store.polls.claim_users(TARGET, [ANN, CID, ANN], now=stage.now, lease=LEASE)
    assert [each.user.user_id for each in claims] == [ANN]


async def test_claiming_no_names_claims_nobody(stage: Stage) -> None:
    """An empty list is not everybody."""
    await stage.register(ANN)
    assert await stage.store.polls.claim_users(TARGET, [], now=stage.now, lease=LEASE) == []


async def test_a_released_user_is_due_as_before(stage: Stage) -> None:
    """Giving back a user that was not asked costs it nothing."""
    await stage.register(ANN)
    claim = await stage.take(ANN)
    await stage.store.polls.release([claim])
    again = await stage.take(ANN)
    assert (again.due_at, again.failures) == (claim.due_at, claim.failures)


async def test_a_stale_release_leaves_the_new_lease_alone(stage: Stage) -> None:
    """A slow process cannot give back what is another's by now."""
    await stage.register(ANN)
    stale = await stage.take(ANN)
    stage.now += LEASE + AN_INSTANT
    await stage.take(ANN)
    await stage.store.polls.release([stale])
    assert await stage.claim() == []


async def test_a_shorter_interval_brings_forward_who_is_due_after_it(stage: Stage) -> None:
    """Each user gets its own place in the new interval, so that load stays even; who is due before keeps its time."""
    await stage.register(ANN, BOB)
    verdict = await stage.see(ANN)
    shorter = (verdict.next_poll_at - stage.now) / 2
    assert await stage.store.polls.bring_forward(TARGET, cadence=replace(CADENCE, interval=shorter), now=stage.now) == 1
    assert await due_at(stage, ANN) == next_due(ANN, shorter, stage.now)
    assert await due_at(stage, BOB) == START


async def test_bringing_forward_delays_nobody(stage: Stage) -> None:
    """An interval that did not get shorter moves nobody."""
    await stage.register(ANN)
    verdict = await stage.see(ANN)
    assert await stage.store.polls.bring_forward(TARGET, cadence=CADENCE, now=stage.now) == 0
    assert await due_at(stage, ANN) == verdict.next_poll_at


async def test_bringing_forward_is_of_one_target(stage: Stage) -> None:
    """Another target has an interval of its own."""
    await stage.register(ANN)
    verdict = await stage.see(ANN)
    assert (
        await stage.store.polls.bring_forward(
            OTHER_TARGET, cadence=replace(CADENCE, interval=AN_INSTANT), now=stage.now
        )
        == 0
    )
    assert await due_at(stage, ANN) == verdict.next_poll_at


async def test_bringing_forward_leaves_gone_paused_and_invalid_users_alone(stage: Stage) -> None:
    """Gone and invalid users have an interval of their own; nobody asks for paused ones."""
    await stage.register(ANN, BOB, CID)
    for user in (BOB, CID):
        await stage.see(user)
    await stage.go(ANN)
    await stage.store.cohort.set_intent(TARGET, [BOB], Intent.PAUSED, now=stage.now)
    await stage.refuse(CID)
    before = [await due_at(stage, user) for user in (ANN, BOB, CID)]
    cadence = replace(CADENCE, interval=AN_INSTANT)
    assert await stage.store.polls.bring_forward(TARGET, cadence=cadence, now=stage.now) == 0
    assert [await due_at(stage, user) for user in (ANN, BOB, CID)] == before


async def test_a_clock_that_is_set_back_delays_nobody(stage: Stage) -> None:
    """Whoever is due later than any rule would have it is brought forward: gone, invalid and throttled users too."""
    await stage.register(ANN, BOB, CID, DAN)
    await stage.see(BOB)
    await stage.go(ANN)
    await stage.refuse(CID)
    await stage.fail(DAN, Outcome.THROTTLED)
    back = stage.now - timedelta(days=30)
    assert await stage.store.polls.bring_forward(TARGET, cadence=CADENCE, now=back) == 4
    for user, wait in ((ANN, 86400), (BOB, 900), (CID, 86400), (DAN, 900)):
        assert back < await due_at(stage, user) <= back + timedelta(seconds=wait)


async def test_claims_made_at_the_same_time_share_nobody(stage: Stage) -> None:
    """Two processes, or two ticks of one, never poll the same user."""
    await stage.register(*(UUID(int=number) for number in range(1, 61)))
    shares = await asyncio.gather(*(stage.claim(limit=10) for _ in range(6)))
    claimed = [user for share in shares for user in share]
    assert len(claimed) == len(set(claimed))

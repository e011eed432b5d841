from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.core.model import Intent, Kind
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, CID, LEASE, TARGET, broken, connected, judged

if TYPE_CHECKING:
    from monitor.core.judge import Verdict
    from tests.store.contract_stage import Stage


async def refused(stage: Stage, verdict: Verdict) -> None:
    """Assert that committing ``verdict`` changes nothing that can be seen."""
    before = await _all(stage)
    assert await stage.store.polls.commit([verdict], now=stage.now) == frozenset()
    assert await _all(stage) == before


async def _all(stage: Stage) -> tuple[object, ...]:
    members = [each async for each in stage.store.cohort.members(None, include_removed=True)]
    return (
        members,
        await kept.undecided(stage.store),
        await stage.connections(),
        await stage.transitions(),
        await stage.notices(),
        dict(await stage.store.views.counts()),
    )


async def test_a_commit_ends_its_lease(stage: Stage) -> None:
    """A user whose poll is committed can be taken at once."""
    await stage.register(ANN)
    await stage.see(ANN)
    assert (await stage.take(ANN)).user.user_id == ANN


async def test_the_same_verdict_is_committed_once(stage: Stage) -> None:
    """A commit that is tried again after its answer was lost repeats nothing."""
    await stage.register(ANN)
    await refused(stage, await stage.see(ANN, connected()))


async def test_a_lease_that_passed_is_lost_though_nobody_took_the_user_over(stage: Stage) -> None:
    """Whoever slept through its lease writes nothing; the user is simply polled again."""
    await stage.register(ANN)
    slow = await stage.seen(ANN, connected())
    stage.now += LEASE
    await refused(stage, slow)
    await stage.see(ANN, connected())


async def test_a_lease_that_was_taken_over_is_lost(stage: Stage) -> None:
    """Of two processes that polled the same user the later claim alone writes."""
    await stage.register(ANN)
    slow = await stage.seen(ANN, connected())
    stage.now += 2 * LEASE
    quick = await stage.seen(ANN, broken())
    await refused(stage, slow)
    await stage.commit(quick)


async def test_a_lease_whose_successor_is_done_is_lost(stage: Stage) -> None:
    """Also when nobody has the user in hand any more."""
    await stage.register(ANN)
    slow = await stage.seen(ANN, connected())
    stage.now += 2 * LEASE
    await stage.see(ANN, broken())
    await refused(stage, slow)


async def test_a_released_lease_is_lost(stage: Stage) -> None:
    """What was given back is not ours to write."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.store.polls.release([verdict.claim])
    await refused(stage, verdict)


async def test_a_user_paused_after_its_claim_is_not_written(stage: Stage) -> None:
    """From the moment a person pauses a user nothing about it changes."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.PAUSED, now=stage.now)
    await refused(stage, verdict)


async def test_a_user_paused_and_resumed_after_its_claim_is_not_written(stage: Stage) -> None:
    """The old lease does not come to life again."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.PAUSED, now=stage.now)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.ACTIVE, now=stage.now)
    await refused(stage, verdict)


async def test_a_user_removed_after_its_claim_is_not_written(stage: Stage) -> None:
    """A removed user's connections stay out of the counts."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    verdict = await stage.seen(ANN, broken())
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await refused(stage, verdict)


async def test_a_user_removed_and_back_after_its_claim_is_not_written(stage: Stage) -> None:
    """What the removal ended would end again."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    verdict = await stage.seen(ANN, connected())
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.register(ANN)
    await refused(stage, verdict)


async def test_a_user_erased_after_its_claim_is_not_written(stage: Stage) -> None:
    """An erased user leaves no trace, whoever had it in hand."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, broken())
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.store.polls.known([verdict.claim]) == {}
    await refused(stage, verdict)


async def test_the_claim_of_an_erased_user_never_fits_another(stage: Stage) -> None:
    """A key that was used is not used again for somebody else."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await stage.register(BOB)
    await stage.take(BOB)
    await refused(stage, verdict)


async def test_the_claim_of_an_erased_user_does_not_fit_its_next_registration(stage: Stage) -> None:
    """Who is registered again starts from nothing."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await stage.register(ANN)
    await stage.take(ANN)
    await refused(stage, verdict)


async def test_the_release_of_an_erased_user_changes_nothing(stage: Stage) -> None:
    """Nor is it an error."""
    await stage.register(ANN, BOB)
    claim = await stage.take(ANN)
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await stage.store.polls.release([claim])
    assert await stage.claim() == [BOB]


async def test_one_lost_lease_leaves_the_rest_of_the_batch_alone(stage: Stage) -> None:
    """Of one commit those are written whose leases hold, and the answer tells which."""
    await stage.register(ANN, BOB, CID)
    verdicts = await stage.seen_together(ANN, BOB, CID, rows=(connected(),))
    await stage.store.cohort.set_intent(TARGET, [BOB], Intent.PAUSED, now=stage.now)
    written = await stage.store.polls.commit(verdicts, now=stage.now)
    assert written == {verdicts[0].claim.key, verdicts[2].claim.key}
    assert {each.user_id for each in await stage.connections()} == {ANN, CID}


async def test_a_verdict_with_a_made_up_lease_is_refused(stage: Stage) -> None:
    """The lease is what proves that a user is ours."""
    await stage.register(ANN)
    claim = await stage.take(ANN)
    forged = replace(claim, lease=claim.lease + 1)
    known = await stage.recall(claim)
    await refused(stage, judged(forged, known, connected(), now=stage.now))


async def test_committing_nothing_writes_nothing(stage: Stage) -> None:
    """An empty batch is no error."""
    await stage.register(ANN)
    assert await stage.store.polls.commit([], now=stage.now) == frozenset()
    assert await stage.store.polls.known([]) == {}
    await stage.store.polls.release([])


async def test_facts_of_an_aborted_poll_are_found_again(stage: Stage) -> None:
    """What a killed process saw and did not commit, the next one sees and commits."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.seen(ANN, broken())
    stage.now += LEASE + timedelta(seconds=1)
    await stage.see(ANN, broken())
    assert await stage.kinds() == [Kind.APPEARED, Kind.ERRORED]

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.core.model import Intent
from monitor.ports import Freshness
from tests.store.contract_stage import ANN, BOB, CID, DAN, OTHER_TARGET, TARGET

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage

INTERVAL = timedelta(minutes=15)
AN_INSTANT = timedelta(microseconds=1)


async def freshness(stage: Stage) -> Freshness:
    """Ask how current the watch is."""
    return await stage.store.views.freshness(TARGET, interval=INTERVAL, now=stage.now)


async def test_of_an_empty_cohort_nothing_is_known(stage: Stage) -> None:
    """No user, no time."""
    assert await freshness(stage) == Freshness(fresh=0, overdue=0, oldest=None, latest=None)


async def test_a_user_that_was_never_seen_is_not_fresh(stage: Stage) -> None:
    """It is overdue as soon as it has been due for more than one interval."""
    await stage.register(ANN)
    stage.now += INTERVAL
    assert await freshness(stage) == Freshness(fresh=0, overdue=0, oldest=None, latest=None)
    stage.now += AN_INSTANT
    assert (await freshness(stage)).overdue == 1


async def test_a_user_is_fresh_for_two_intervals(stage: Stage) -> None:
    """To the very instant."""
    await stage.register(ANN)
    await stage.see(ANN)
    stage.now += 2 * INTERVAL
    assert (await freshness(stage)).fresh == 1
    stage.now += AN_INSTANT
    assert (await freshness(stage)).fresh == 0


async def test_oldest_and_latest_span_the_active_users(stage: Stage) -> None:
    """Of another target they tell nothing."""
    await stage.register(ANN, BOB)
    await stage.register(CID, target=OTHER_TARGET)
    await stage.see(ANN)
    first = stage.now
    await stage.see(BOB)
    last = stage.now
    await stage.see(CID, target=OTHER_TARGET)
    assert await freshness(stage) == Freshness(fresh=2, overdue=0, oldest=first, latest=last)


async def test_users_that_are_not_active_make_nothing_stale(stage: Stage) -> None:
    """Paused, removed, invalid and gone users are neither fresh, nor oldest, nor overdue."""
    await stage.register(ANN, BOB, CID, DAN)
    for user in (ANN, BOB, CID, DAN):
        await stage.see(user)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.PAUSED, now=stage.now)
    await stage.store.cohort.set_intent(TARGET, [BOB], Intent.REMOVED, now=stage.now)
    await stage.refuse(CID)
    await stage.go(DAN)
    stage.now += 4 * INTERVAL
    found = await freshness(stage)
    assert (found.fresh, found.overdue, found.oldest) == (0, 0, None)


async def test_a_gone_user_that_nobody_asks_for_is_overdue(stage: Stage) -> None:
    """It is to be polled too, at its own pace."""
    await stage.register(ANN)
    verdict = await stage.go(ANN)
    stage.now = verdict.next_poll_at + INTERVAL + AN_INSTANT
    assert (await freshness(stage)).overdue == 1

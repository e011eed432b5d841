"""The budget that a claim debits, shared by all who claim."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.core import budget
from monitor.core.budget import Pace
from tests.store.contract_stage import ANN, BOB, LEASE, OTHER_TARGET, TARGET

if TYPE_CHECKING:
    from monitor.core.budget import Lesson
    from tests.store.contract_stage import Stage

MANY = [UUID(int=number) for number in range(1, 101)]


async def claimed(stage: Stage, *lessons: Lesson, rate: float = 10, limit: int = 100, target: str = TARGET) -> int:
    """Claim at this rate, and return how many users were had."""
    pace = Pace(rate=rate, lessons=lessons)
    return len((await stage.store.polls.claim(target, limit=limit, now=stage.now, lease=LEASE, pace=pace)).claims)


async def test_a_claim_takes_no_more_than_the_rate_gives(stage: Stage) -> None:
    """A second's worth at once, then as time goes by."""
    await stage.register(*MANY)
    assert await claimed(stage) == 10
    assert await claimed(stage) == 0
    stage.later(seconds=0.5)
    assert await claimed(stage) == 5


async def test_only_users_that_are_had_are_paid_for(stage: Stage) -> None:
    """A claim that finds two users due leaves the rest of the budget to others."""
    await stage.register(ANN, BOB)
    assert await claimed(stage) == 2
    await stage.register(*MANY)
    assert await claimed(stage) == 8


async def test_each_target_has_a_budget_of_its_own(stage: Stage) -> None:
    """One that is used up holds up no other."""
    await stage.register(*MANY)
    await stage.register(*MANY, target=OTHER_TARGET)
    assert await claimed(stage) == 10
    assert await claimed(stage, target=OTHER_TARGET) == 10


async def test_what_one_process_learns_holds_for_the_next_claim_of_any(stage: Stage) -> None:
    """A refusal halves the rate and stops everybody for as long as was asked."""
    await stage.register(*MANY)
    assert await claimed(stage, budget.slowed(stage.now, timedelta(seconds=5))) == 0
    stage.later(seconds=4.9)
    assert await claimed(stage) == 0
    stage.later(seconds=0.1)
    assert await claimed(stage) == 5


async def test_a_rejection_is_kept_and_shared(stage: Stage) -> None:
    """While the target rejects us one user is asked every 30 s, by whoever comes first."""
    await stage.register(*MANY)
    await claimed(stage, budget.rejected("no", stage.now), limit=0)
    stage.later(seconds=29)
    assert await claimed(stage) == 0
    stage.later(seconds=1)
    assert await claimed(stage) == 1
    assert await claimed(stage) == 0
    pace = Pace(rate=10)
    assert (await stage.store.polls.spend(TARGET, 0, now=stage.now, pace=pace)).budget.rejected == "no"
    assert await claimed(stage, budget.readmitted(stage.now)) == 9


async def test_other_requests_are_paid_for_as_well(stage: Stage) -> None:
    """What discovery asks for is not left to polls, also before the first user is known."""
    granted = await stage.store.polls.spend(TARGET, 7, now=stage.now, pace=Pace(rate=10))
    assert granted.requests == 7
    assert (await stage.store.polls.spend(TARGET, 7, now=stage.now, pace=Pace(rate=10))).requests == 3
    await stage.register(*MANY)
    assert await claimed(stage) == 0


async def test_a_target_without_users_has_its_whole_budget(stage: Stage) -> None:
    """Nothing is due, and nothing is spent."""
    assert await claimed(stage) == 0
    granted = await stage.store.polls.spend(TARGET, 100, now=stage.now, pace=Pace(rate=10))
    assert granted.requests == 10


async def test_claims_at_the_same_time_stay_within_the_rate(stage: Stage) -> None:
    """Ten who claim at once get together what one would have got."""
    await stage.register(*MANY)
    shares = await asyncio.gather(*(claimed(stage, rate=30, limit=10) for _ in range(10)))
    assert sum(shares) == 30

"""Turns at recurring jobs, and what they write."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.store.contract_stage import ANN, LEASE, OTHER_TARGET, TARGET

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage

HOUR = timedelta(hours=1)


async def begin(stage: Stage, job: str = "discover") -> int | None:
    """Try to take an hourly job."""
    return await stage.store.upkeep.begin(job, every=HOUR, now=stage.now, lease=LEASE)


async def test_one_replica_takes_a_job(stage: Stage) -> None:
    """Of many that try at once one gets it; another job is another matter."""
    tries = await asyncio.gather(*(begin(stage) for _ in range(8)))
    assert sum(each is not None for each in tries) == 1
    assert await begin(stage, "prune") is not None


async def test_a_job_that_ran_is_due_after_its_interval(stage: Stage) -> None:
    """Counted from the time that is stored, whoever asks."""
    held = await begin(stage)
    assert held is not None
    await stage.store.upkeep.end("discover", held, ran_at=stage.now)
    stage.later(minutes=59)
    assert await begin(stage) is None
    stage.later(minutes=1)
    assert await begin(stage) is not None


async def test_a_job_that_was_given_back_is_due_as_before(stage: Stage) -> None:
    """A daemon that is stopped in the middle leaves it to the next one."""
    held = await begin(stage)
    assert held is not None
    await stage.store.upkeep.end("discover", held, ran_at=None)
    assert await begin(stage) is not None


async def test_the_job_of_a_dead_replica_is_taken_over_after_a_lease(stage: Stage) -> None:
    """Not before."""
    await begin(stage)
    stage.now += LEASE / 2
    assert await begin(stage) is None
    stage.now += LEASE / 2
    assert await begin(stage) is not None


async def test_a_renewed_job_is_held_on_to(stage: Stage) -> None:
    """As long as nobody has taken it over."""
    held = await begin(stage)
    assert held is not None
    stage.now += LEASE / 2
    assert await stage.store.upkeep.renew("discover", held, now=stage.now, lease=LEASE)
    stage.now += LEASE / 2
    assert await begin(stage) is None
    stage.now += LEASE
    assert await begin(stage) is not None
    assert not await stage.store.upkeep.renew("discover", held, now=stage.now, lease=LEASE)


async def test_who_lost_a_job_does_not_end_it(stage: Stage) -> None:
    """A replica that wakes leaves alone what another one has in hand."""
    held = await begin(stage)
    assert held is not None
    stage.now += LEASE
    await begin(stage)
    await stage.store.upkeep.end("discover", held, ran_at=stage.now)
    assert await begin(stage) is None


async def test_the_vendor_s_total_is_kept_for_a_while(stage: Stage) -> None:
    """The newest one counts, and one that could not be had is none."""
    await stage.register(ANN)
    await stage.register(ANN, target=OTHER_TARGET)
    await stage.store.upkeep.keep_reported(TARGET, 7, now=stage.now)
    await stage.store.upkeep.keep_reported(OTHER_TARGET, 3, now=stage.now)
    await stage.store.upkeep.keep_reported(OTHER_TARGET, None, now=stage.now)
    assert await stage.store.views.reported(since=stage.now) == {TARGET: 7}
    assert await stage.store.views.reported(since=stage.now + HOUR) == {}

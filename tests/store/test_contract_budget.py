"""The budget that a claim debits, shared by all who claim."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from monitor.core import budget
from monitor.core.budget import Pace
from monitor.core.model import Intent, Outcome
from monitor.core.target_health import PollAnswer
from tests.store.contract_stage import ANN, BOB, LEASE, OTHER_TARGET, TARGET

if TYPE_CHECKING:
    from monitor.core.budget import Lesson
    from monitor.ports import Assessed
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


def answer(user: int, outcome: Outcome, stage: Stage, **words: Any) -> PollAnswer:
    """Return one user's answer of now."""
    code = {Outcome.THROTTLED: "429", Outcome.REJECTED: "401"}.get(outcome, "200")
    return PollAnswer(key=user, outcome=outcome, code=code, asked_at=stage.now, at=stage.now, **words)


async def assess(stage: Stage, *answers: PollAnswer, rate: float = 10) -> Assessed:
    """Take in these answers."""
    since = stage.now - timedelta(minutes=15)
    return await stage.store.polls.assess(TARGET, answers, since=since, now=stage.now, pace=Pace(rate=rate))


async def test_what_users_are_answered_holds_for_the_next_claim_of_any(stage: Stage) -> None:
    """Throttled users halve the rate and stop everybody for as long as was asked."""
    await stage.register(*MANY)
    wait = timedelta(seconds=5)
    await assess(stage, *(answer(user, Outcome.THROTTLED, stage, retry_after=wait) for user in range(3)))
    assert await claimed(stage) == 0
    stage.later(seconds=4.9)
    assert await claimed(stage) == 0
    stage.later(seconds=0.1)
    assert await claimed(stage) == 5


async def test_what_is_taught_holds_before_the_claim_that_teaches_it(stage: Stage) -> None:
    """Requests that were given back may be used at once."""
    await stage.register(*MANY)
    assert await claimed(stage) == 10
    assert await claimed(stage, budget.unspent(4)) == 4


async def test_a_rejection_is_kept_and_shared(stage: Stage) -> None:
    """While the target rejects us one user is polled every 30 s, by whoever comes first."""
    await stage.register(*MANY)
    await stage.store.polls.note_question(
        TARGET, answer(0, Outcome.REJECTED, stage, counts=False), now=stage.now, pace=Pace(rate=10)
    )
    stage.later(seconds=1)
    await assess(stage, *(answer(user, Outcome.REJECTED, stage) for user in range(3)))
    assert await claimed(stage) == 1
    stage.later(seconds=29)
    assert await claimed(stage) == 0
    stage.later(seconds=1)
    assert await claimed(stage) == 1
    assert await claimed(stage) == 0
    assert (await assess(stage)).after.health.rejected is not None
    stage.later(seconds=1)
    assert (await assess(stage, answer(1, Outcome.UNCHANGED, stage))).after.health.rejected is None
    assert await claimed(stage) == 10


async def test_the_question_about_a_target_is_asked_by_one(stage: Stage) -> None:
    """Of all who claim, one is told to ask, and nobody for the next ten seconds."""
    await stage.register(ANN, BOB)
    pace = Pace(rate=10)
    await assess(stage, answer(1, Outcome.REJECTED, stage))
    asks = [
        (await stage.store.polls.claim(TARGET, limit=0, now=stage.now, lease=LEASE, pace=pace)).asks for _ in range(3)
    ]
    assert asks == [True, False, False]
    stage.later(seconds=10)
    assert (await stage.store.polls.claim(TARGET, limit=0, now=stage.now, lease=LEASE, pace=pace)).asks


async def test_the_health_of_a_target_is_read_back_as_it_was_written(stage: Stage) -> None:
    """Whoever claims next knows every verdict, its times and its provider."""
    await stage.register(*MANY)
    missing = [answer(user, Outcome.CHANGED, stage, missing=frozenset({"fitbit"})) for user in range(5)]
    failing = [answer(user, Outcome.TIMEOUT, stage) for user in range(7, 9)]
    health = (await assess(stage, *missing, *failing)).after.health
    assert health.verdicts
    assert health.streak
    assert (await assess(stage)).before.health == health


async def test_recently_polled_users_are_those_that_count(stage: Stage) -> None:
    """Each by its latest answer, newest first; nobody who is paused, gone or not polled since."""
    users = MANY[:6]
    await stage.register(*users)
    await stage.see(users[0])
    stage.later(minutes=20)
    await stage.see(users[1])
    await stage.fail(users[2], Outcome.TIMEOUT)
    await stage.miss(users[3], trusted=False)
    await stage.go(users[4])
    await stage.see(users[5])
    await stage.store.cohort.set_intent(TARGET, [users[5]], Intent.PAUSED, now=stage.now)
    recent = (await assess(stage)).recent
    assert [poll.outcome for poll in recent.polls] == [Outcome.GONE, Outcome.TIMEOUT, None]
    assert recent.users == 4


async def test_other_requests_are_paid_for_as_well(stage: Stage) -> None:
    """What discovery asks for is not left to polls, also before the first user is known."""
    granted = await stage.store.polls.spend_reserved(TARGET, 7, now=stage.now, pace=Pace(rate=10))
    assert granted.requests == 7
    assert (await stage.store.polls.spend_reserved(TARGET, 7, now=stage.now, pace=Pace(rate=10))).requests == 3
    await stage.register(*MANY)
    assert await claimed(stage) == 0


async def test_a_tenth_of_the_budget_is_kept_for_other_requests_that_wait(stage: Stage) -> None:
    """However many users are due, a user list that waits is read, and polls get the rest."""
    await stage.register(*MANY)
    assert await claimed(stage) == 10
    assert (await stage.store.polls.spend_reserved(TARGET, 1, now=stage.now, pace=Pace(rate=10))).requests == 0
    stage.later(seconds=1)
    assert await claimed(stage) == 9
    assert (await stage.store.polls.spend_reserved(TARGET, 1, now=stage.now, pace=Pace(rate=10))).requests == 1


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

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.core.policy import Policy, Severity
from monitor.errors import StoreUnavailable
from monitor.evaluator import AT_ONCE, EvaluationLoop, Evaluator
from monitor.job_border import JobBorder
from monitor.store.memory import MemoryStore
from monitor.store.memory.alerts import MemoryAlerts
from tests.poller.evaluators import quiet_evaluator
from tests.poller.world import Recorded
from tests.store.contract_stage import POLICY, Stage, broken, connected

if TYPE_CHECKING:
    from monitor.core.evaluation import Outcome
    from monitor.ports import Alerts, Taken

USERS: Final = [UUID(int=number) for number in range(1, AT_ONCE + 2)]


@pytest.fixture
async def stage() -> Stage:
    """Give a store in which more connections broke than are decided on at once."""
    stage = Stage(MemoryStore())
    await stage.register(*USERS)
    for row in (connected(), broken()):
        verdicts = await stage.seen_together(*USERS, rows=(row,))
        await stage.store.polls.commit(verdicts, now=stage.now)
    return stage


class Failing(MemoryAlerts):
    """The decisions of a store that fails when it settles."""

    def __init__(self, stage: Stage, error: Exception) -> None:
        store: Any = stage.store
        super().__init__(store.alerts._tables)
        self._error = error

    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, **_: Any) -> bool:
        """Fail."""
        assert len(outcome.decisions) == len(taken.docket.entries)
        assert policy is POLICY
        raise self._error


def evaluator(stage: Stage, alerts: Alerts | None = None, policy: Policy = POLICY) -> Evaluator:
    """Return an evaluator of these decisions."""
    return quiet_evaluator(alerts or stage.store.alerts, policy, lambda: stage.now)


async def looped(
    stage: Stage, alerts: Alerts | None = None, policy: Policy = POLICY
) -> tuple[Recorded, LogCapture, int]:
    """Let a loop decide until it is stopped; return its metrics, its log, and how often people were to hear of it."""
    metrics, logs, told = Recorded(), LogCapture(), list[None]()
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[logs])
    loop = EvaluationLoop(
        evaluator(stage, alerts, policy),
        border=JobBorder(Availability(metrics, log), metrics, log),
        on_told=lambda: told.append(None),
    )
    running = asyncio.create_task(loop.run())
    loop.tick()
    await asyncio.sleep(0)
    loop.stop()
    await running
    return metrics, logs, len(told)


async def test_an_evaluator_decides_on_all_there_is(stage: Stage) -> None:
    """A docket after the other, and tells whether anybody is to hear of it."""
    assert await evaluator(stage).decide()
    assert await stage.store.outbox.undelivered() == {"log": len(USERS)}
    assert not await evaluator(stage).decide()


async def test_what_is_in_another_hand_is_left_alone(stage: Stage) -> None:
    """It is decided on there."""
    await stage.docket()
    assert not await evaluator(stage).decide()
    assert await stage.alerts() == []


async def test_what_could_not_be_settled_can_be_taken_at_once(stage: Stage) -> None:
    """Nobody waits for the lease of who failed."""
    with pytest.raises(StoreUnavailable):
        await evaluator(stage, Failing(stage, StoreUnavailable("away"))).decide()
    assert await stage.take_docket() is not None


async def test_a_loop_decides_when_it_is_woken_and_says_so(stage: Stage) -> None:
    """And once more before it ends."""
    _, logs, told = await looped(stage)
    assert told == 1
    assert logs.entries == []
    assert await stage.take_docket() is None


async def test_a_loop_outlives_a_database_that_is_away(stage: Stage) -> None:
    """The figures say that it is."""
    metrics, _, told = await looped(stage, Failing(stage, StoreUnavailable("away")))
    assert set(metrics.of("database_up")) == {(False,)}
    assert told == 0


async def test_a_loop_outlives_a_crash(stage: Stage) -> None:
    """It is logged, and what was not settled is decided later."""
    _, logs, told = await looped(stage, Failing(stage, RuntimeError("a bug")))
    assert [(each["event"], each["job"]) for each in logs.entries][:1] == [("job.crashed", "evaluate")]
    assert told == 0


CRITICAL: Final = Policy(otherwise=Severity.CRITICAL)


async def test_a_changed_policy_reaches_all_that_is_open_once(stage: Stage) -> None:
    """More than a page of it; a replica with the same policy has nothing left to do."""
    await evaluator(stage).decide()
    first, second = evaluator(stage, policy=CRITICAL), evaluator(stage, policy=CRITICAL)
    assert await first.apply_policy()
    assert await stage.store.outbox.undelivered() == {"log": 2 * len(USERS)}
    assert not await second.apply_policy()
    assert not await first.apply_policy()
    assert {each.severity for each in await stage.open_alerts()} == {Severity.CRITICAL}


async def test_a_changed_policy_waits_until_nobody_decides(stage: Stage) -> None:
    """And goes on where it stopped."""
    await evaluator(stage).decide()
    await stage.see(USERS[0], connected())
    taken = await stage.docket()
    late = evaluator(stage, policy=CRITICAL)
    assert not await late.apply_policy()
    assert await stage.settle(taken)
    assert await late.apply_policy()


async def test_a_changed_policy_is_applied_by_the_loop(stage: Stage) -> None:
    """Before anything new is decided on."""
    await evaluator(stage).decide()
    await stage.deliver()
    _, _, told = await looped(stage, policy=CRITICAL)
    assert told == 1
    assert {each.state for each in await stage.notices()} == {"firing"}


class Overtaken(Failing):
    """Alerts of which another replica takes the lease before anything is written."""

    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, **_: Any) -> bool:
        """Write nothing."""
        del taken, outcome, policy
        return False


class Unreadable(MemoryAlerts):
    """Alerts of which what is open cannot be read, or of some users alone."""

    def __init__(self, stage: Stage, users: frozenset[UUID] | None = None) -> None:
        store: Any = stage.store
        super().__init__(store.alerts._tables)
        self._users = users

    async def claim_open_alerts(self, *args: Any, **words: Any) -> Taken | None:
        """Fail where one of the users is among those that are asked for, or always."""
        taken = await super().claim_open_alerts(*args, **words)
        if taken is not None and (self._users is None or any(each.user_id in self._users for each in taken.members)):
            await self.release(taken)
            raise ArithmeticError
        return taken


async def test_a_policy_that_cannot_be_applied_at_all_keeps_nothing_new_from_being_decided(stage: Stage) -> None:
    """The crash is logged and shown by readiness after that, and nobody is named for it."""
    await evaluator(stage).decide()
    await stage.see(USERS[0], connected())
    _, logs, told = await looped(stage, Unreadable(stage), CRITICAL)
    assert {(each["event"], each.get("job")) for each in logs.entries} == {("job.crashed", "evaluate")}
    assert told == 1
    assert len(await stage.open_alerts()) == len(USERS) - 1


async def test_a_policy_that_cannot_be_applied_to_some_users_is_applied_to_the_rest(stage: Stage) -> None:
    """On both sides of a page's end, and once: the next call does nothing more."""
    failing = {USERS[0], USERS[250], USERS[-1]}
    await evaluator(stage).decide()
    hurt = evaluator(stage, Unreadable(stage, frozenset(failing)), CRITICAL)
    assert await hurt.apply_policy()
    left = {each.user.user_id for each in await stage.open_alerts() if each.severity is not Severity.CRITICAL}
    assert left == failing
    assert not await hurt.apply_policy()


async def test_a_changed_policy_is_not_applied_by_who_lost_the_lease(stage: Stage) -> None:
    """It is tried again at the next tick."""
    await evaluator(stage).decide()
    overtaken = Overtaken(stage, RuntimeError("not raised"))
    late = evaluator(stage, overtaken, Policy(otherwise=Severity.INFO))
    assert not await late.apply_policy()
    assert {each.severity for each in await stage.open_alerts()} == {Severity.WARNING}

"""A clock that was ahead and is set back delays nothing by the step: no alert, retry, job or lease.

Ticks come every second, so the first one comes right after the step.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from monitor.core.alerting import AlertState
from monitor.core.model import Intent
from monitor.core.policy import Flapping, IncidentRule
from monitor.ports import LONGEST_RETRY, Done
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, LEASE, POLICY, TARGET, broken, connected
from tests.store.test_contract_incidents import RULE, USERS, see_all
from tests.store.test_contract_incidents import break_ as break_and_decide

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage
    from tests.store.telling import Teller

STEPS: Final = [timedelta(minutes=10), timedelta(hours=1), timedelta(days=30)]
MINUTE: Final = timedelta(minutes=1)
HELD: Final = IncidentRule(min_users=2, hold=MINUTE, longest_hold=15 * MINUTE)
"""As with the defaults: an alert waits a minute for others."""

each_step = pytest.mark.parametrize("step", STEPS, ids=["10 min", "1 h", "30 d"])


async def break_(stage: Stage, *users: object) -> None:
    """Let connections break that were healthy, and decide."""
    for user in users:
        await stage.see(user, connected())  # type: ignore[arg-type]
        await stage.see(user, broken())  # type: ignore[arg-type]
    await stage.decide()


@each_step
async def test_an_alert_that_waits_for_others_fires_after_its_hold(stage: Stage, step: timedelta) -> None:
    """Not after its hold and the step."""
    stage.policy = replace(POLICY, incident=HELD)
    await stage.register(ANN, BOB)
    await stage.see(BOB, connected())
    stage.now += step
    await break_(stage, ANN)
    assert [each.state for each in await stage.open_alerts()] == [AlertState.PENDING]
    stage.now -= step
    stage.later(minutes=1)
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == [AlertState.FIRING]


@each_step
@pytest.mark.parametrize("confirmed_by", [MINUTE, timedelta(hours=2)])
async def test_an_alert_that_is_confirmed_by_time_fires(stage: Stage, step: timedelta, confirmed_by: timedelta) -> None:
    """With a policy under which others may wait for much longer."""
    stage.policy = replace(
        POLICY, confirm_for=confirmed_by, flapping=Flapping(within=timedelta(hours=3)), incident=HELD
    )
    await stage.register(ANN)
    stage.now += step
    await break_(stage, ANN)
    stage.now -= step
    await stage.decide()
    stage.now += confirmed_by
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == [AlertState.FIRING]


@each_step
async def test_an_unstable_alert_ends_when_its_connection_was_quiet(stage: Stage, step: timedelta) -> None:
    """At the latest so long after the step."""
    stage.policy = replace(POLICY, flapping=Flapping(transitions=4, within=timedelta(hours=1)))
    await stage.register(ANN)
    stage.now += step
    for _ in range(3):
        await break_(stage, ANN)
    await stage.see(ANN, connected())
    await stage.decide()
    stage.now -= step
    await stage.decide()
    stage.later(hours=1)
    await stage.decide()
    assert await stage.open_alerts() == []


@each_step
async def test_an_incident_ends_when_nobody_joins(stage: Stage, step: timedelta) -> None:
    """Within its window."""
    stage.policy = replace(POLICY, incident=RULE)
    await stage.register(*USERS)
    await see_all(stage, USERS, connected())
    stage.now += step
    await break_and_decide(stage, USERS[:4])
    stage.now -= step
    await stage.decide()
    stage.now += RULE.within
    await stage.decide()
    assert [each.state for each in await kept.incidents(stage.store)] == [AlertState.RESOLVED]


@pytest.mark.parametrize("seconds", [1, 20])
async def test_clocks_that_differ_a_little_confirm_nothing_early(stage: Stage, seconds: int) -> None:
    """Another replica's clock is ahead, and an alert that it stored is not taken for one of a clock set back."""
    stage.policy = replace(POLICY, confirm_for=timedelta(hours=1))
    await stage.register(ANN)
    await break_(stage, ANN)
    stage.now -= timedelta(seconds=seconds)
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == [AlertState.PENDING]
    assert await stage.notices() == []


@each_step
async def test_an_evaluation_in_a_dead_hand_is_taken_over(stage: Stage, step: timedelta) -> None:
    """Its lease was taken by a clock that was ahead."""
    await stage.register(ANN)
    stage.now += step
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    await stage.docket()
    stage.now += LEASE - step
    assert await stage.take_docket() is not None


@each_step
async def test_a_job_is_due_an_interval_after_the_step_at_most(stage: Stage, step: timedelta) -> None:
    """When it ran is not known to the clock of now."""
    upkeep, hour = stage.store.upkeep, timedelta(hours=1)
    stage.now += step
    held = await upkeep.begin("discover", every=hour, now=stage.now, lease=LEASE)
    assert held is not None
    await upkeep.end("discover", held, ran_at=stage.now)
    stage.now -= step
    assert await upkeep.begin("discover", every=hour, now=stage.now, lease=LEASE) is not None


@each_step
async def test_a_job_in_a_dead_hand_is_taken_over(stage: Stage, step: timedelta) -> None:
    """After its lease, not after its lease and the step."""
    upkeep, hour = stage.store.upkeep, timedelta(hours=1)
    assert await upkeep.begin("discover", every=hour, now=stage.now + step, lease=LEASE) is not None
    stage.now += LEASE
    assert await upkeep.begin("discover", every=hour, now=stage.now, lease=LEASE) is not None


async def test_a_job_of_a_replica_whose_clock_is_a_little_ahead_is_left_alone(stage: Stage) -> None:
    """It runs there."""
    upkeep, hour = stage.store.upkeep, timedelta(hours=1)
    ahead = stage.now + timedelta(seconds=5)
    assert await upkeep.begin("discover", every=hour, now=ahead, lease=LEASE) is not None
    assert await upkeep.begin("discover", every=hour, now=stage.now, lease=LEASE) is None


@each_step
@pytest.mark.parametrize("wait", [timedelta(seconds=5), LONGEST_RETRY])
async def test_a_notification_that_failed_is_tried_again(teller: Teller, step: timedelta, wait: timedelta) -> None:
    """At once, where it is not known how long it has waited; not after its back-off and the step."""
    await teller.tell(1)
    teller.now += step
    (notice,) = await teller.claim()
    await teller.store.outbox.retry([notice], "HTTP 500", at=teller.now + wait)
    teller.now -= step
    assert await teller.claim() == [notice]


@each_step
async def test_a_notification_in_a_dead_hand_is_sent(teller: Teller, step: timedelta) -> None:
    """After its lease, by whoever is next."""
    await teller.tell(1)
    teller.now += step
    (notice,) = await teller.claim()
    teller.now += LEASE - step
    assert await teller.claim() == [notice]


async def test_a_notification_that_waits_is_not_tried_early(teller: Teller) -> None:
    """Where no clock was set."""
    await teller.tell(1)
    (notice,) = await teller.claim()
    await teller.store.outbox.retry([notice], "HTTP 500", at=teller.now + LONGEST_RETRY)
    teller.later(minutes=59)
    assert await teller.claim() == []
    teller.later(minutes=1)
    assert await teller.claim() == [notice]


@each_step
async def test_what_was_sent_by_a_clock_ahead_uses_up_no_minute(teller: Teller, step: timedelta) -> None:
    """The limit of a sink counts the minute it is for."""
    minute = teller.now
    for number in range(3):
        await teller.tell(number)
    teller.now += step
    await teller.store.outbox.settle(await teller.claim(), Done.DELIVERED, now=teller.now)
    assert await teller.store.outbox.sent_since("pager", minute) == 0
    assert await teller.store.outbox.sent_since("pager", teller.now) == 3


@each_step
async def test_an_error_that_outlasts_a_removal_fires_again(stage: Stage, step: timedelta) -> None:
    """Also where the user was added again while the clock was ahead, and is observed after it was set back."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    stage.now += step
    await stage.register(ANN)
    stage.now -= step
    await stage.see(ANN, broken())
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == [AlertState.FIRING]

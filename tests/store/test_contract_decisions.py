"""Decisions on alerts: what asks for one, who takes it, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.alerting import REMOVED, AlertKind
from monitor.core.evaluation import evaluate
from monitor.core.model import Intent, User
from monitor.core.policy import Flapping, Severity
from tests.store import contract_kept as kept
from tests.store.contract_stage import (
    ANN,
    BOB,
    CID,
    LEASE,
    OTHER_TARGET,
    POLICY,
    TARGET,
    broken,
    connected,
)

if TYPE_CHECKING:
    from uuid import UUID

    from tests.store.contract_stage import Stage

HOUR = timedelta(hours=1)


async def break_(stage: Stage, *users: UUID, provider: str = "fitbit") -> None:
    """Let connections break that were healthy, and decide on nothing yet."""
    for user in users:
        await stage.see(user, connected(provider))
        await stage.see(user, broken(provider))


async def test_nothing_to_decide_is_nothing_to_take(stage: Stage) -> None:
    """Neither in an empty store nor where all is well."""
    assert await stage.take_docket() is None
    await stage.register(ANN)
    await stage.see(ANN, connected())
    assert await stage.take_docket() is None


async def test_a_first_snapshot_asks_for_no_decision(stage: Stage) -> None:
    """What was broken before anybody looked is no news."""
    await stage.register(ANN)
    await stage.see(ANN, broken())
    assert await kept.undecided(stage.store) == 0
    assert await stage.take_docket() is None


async def test_a_transition_asks_for_a_decision_with_its_commit(stage: Stage) -> None:
    """It comes back in the docket word for word."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    assert [each.transition for each in taken.docket.entries] == (await stage.transitions())[-1:]
    assert [each.user for each in taken.docket.entries] == [User(target=TARGET, user_id=ANN)]
    assert not taken.more


async def test_what_was_decided_is_not_decided_again(stage: Stage) -> None:
    """The queue is empty after it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    assert await kept.undecided(stage.store) == 0
    assert await stage.take_docket() is None
    assert await stage.told() == [("fitbit", "firing")]


async def test_a_firing_alert_is_told_to_each_sink(stage: Stage) -> None:
    """One notice for each, and one alert."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide(sinks=["log", "pager"])
    assert sum((await stage.store.outbox.undelivered()).values()) == 2
    assert [each.state for each in await stage.open_alerts()] == ["firing"]


async def test_without_sinks_alerts_are_kept_all_the_same(stage: Stage) -> None:
    """Nobody hears of them."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide(sinks=[])
    assert sum((await stage.store.outbox.undelivered()).values()) == 0
    assert len(await stage.open_alerts()) == 1


async def test_an_alert_keeps_why_it_fired_and_why_it_ended(stage: Stage) -> None:
    """A person may ask for both."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    (fired,) = await stage.alerts()
    assert (fired.fired_reason, fired.reason, fired.resolved_at) == ("it is new", "it is new", None)
    await stage.see(ANN, connected())
    await stage.decide()
    (ended,) = await stage.alerts()
    assert (ended.fired_reason, ended.reason) == ("it is new", "recovered ends it")
    assert ended.resolved_at == stage.now
    assert ended.alert.fired_at == fired.alert.fired_at


async def test_a_whole_life_in_one_docket_is_told_from_the_beginning(stage: Stage) -> None:
    """Where decisions were late, nothing is left out."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.see(ANN, broken(error_type="provider_credential_error"))
    await stage.see(ANN, connected())
    await stage.decide()
    assert [state for _, state in await stage.told()] == ["firing", "resolved"] * 2
    assert [each.fired_reason for each in await stage.alerts()] == ["it is over already"] * 2


async def test_another_error_is_told_after_the_end_of_the_first(stage: Stage) -> None:
    """In this order in the outbox."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    await stage.see(ANN, broken(error_type="provider_credential_error"))
    await stage.decide()
    told = [(each.payload["state"], each.payload["error_type"]) for each in await stage.notices()]
    assert told[1:] == [("resolved", "token_refresh_failed"), ("firing", "provider_credential_error")]


async def test_an_alert_waits_until_it_is_confirmed(stage: Stage) -> None:
    """Nobody is told, and nothing counts as firing; then time alone lets it fire."""
    stage.policy = replace(POLICY, confirm_for=HOUR)
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == ["pending"]
    assert await stage.notices() == []
    assert await stage.take_docket() is None
    stage.later(hours=1)
    await stage.decide()
    assert [each.state for each in await stage.open_alerts()] == ["firing"]
    (notice,) = await stage.notices()
    assert notice.payload["transition_id"] == str((await stage.transitions())[-1].id)


async def test_an_alert_that_heals_unconfirmed_is_withdrawn(stage: Stage) -> None:
    """Nobody ever hears of it."""
    stage.policy = replace(POLICY, confirm_for=HOUR)
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    await stage.see(ANN, connected())
    await stage.decide()
    stage.later(hours=2)
    await stage.decide()
    assert [each.alert.state for each in await stage.alerts()] == ["withdrawn"]
    assert await stage.notices() == []


async def test_resources_and_users_have_alerts_of_their_own(stage: Stage) -> None:
    """Beside that of the connection, where a person wants them."""
    stage.policy = replace(POLICY, resource_lost=Severity.INFO, user_gone=Severity.CRITICAL)
    await stage.register(ANN)
    await stage.see(ANN, connected(resources={"sleep": "available"}))
    await stage.see(ANN, broken(resources={"sleep": "scope"}))
    await stage.decide()
    assert {each.kind for each in await stage.open_alerts()} == {AlertKind.ERROR, AlertKind.RESOURCE_LOST}
    await stage.go(ANN)
    await stage.decide()
    assert [each.kind for each in await stage.open_alerts()] == [AlertKind.USER_GONE]
    await stage.see(ANN)
    await stage.decide()
    assert await stage.open_alerts() == []


async def test_a_docket_has_no_more_than_its_limit(stage: Stage) -> None:
    """The oldest first; it says that there is more."""
    await stage.register(ANN, BOB, CID)
    await break_(stage, CID, ANN, BOB)
    taken = await stage.docket(limit=2)
    assert [each.user.user_id for each in taken.docket.entries] == [CID, ANN]
    assert taken.more
    assert await stage.settle(taken)
    assert [each.user.user_id for each in (await stage.docket(limit=2)).docket.entries] == [BOB]


async def test_alerts_whose_time_has_come_are_taken_up_to_the_limit(stage: Stage) -> None:
    """Each once."""
    stage.policy = replace(POLICY, confirm_for=HOUR)
    await stage.register(ANN, BOB, CID)
    await break_(stage, ANN, BOB, CID)
    await stage.decide()
    stage.later(hours=2)
    taken = await stage.docket(limit=2)
    assert [each.user.user_id for each in taken.docket.standing] == [ANN, BOB]
    assert taken.more
    assert await stage.settle(taken)
    await stage.decide(limit=2)
    assert sum((await stage.store.outbox.undelivered()).values()) == 3


async def test_a_docket_in_hand_keeps_others_out_until_it_is_settled(stage: Stage) -> None:
    """Two replicas do not decide on the same."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    assert await stage.take_docket() is None
    assert await stage.settle(taken)
    await stage.see(ANN, connected())
    assert await stage.take_docket() is not None


async def test_a_docket_that_is_given_back_can_be_taken_at_once(stage: Stage) -> None:
    """With all that was in it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    await stage.store.alerts.release(taken)
    assert (await stage.docket()).docket == taken.docket


async def test_a_docket_is_taken_over_after_its_lease(stage: Stage) -> None:
    """Whoever died with it in hand holds nothing up for longer."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    stage.now += LEASE - timedelta(microseconds=1)
    assert await stage.take_docket() is None
    stage.now += timedelta(microseconds=1)
    assert (await stage.docket()).docket == taken.docket


async def test_who_slept_through_its_lease_settles_where_nobody_took_over(stage: Stage) -> None:
    """What it knows is still so."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    stage.now += 2 * LEASE
    assert await stage.settle(taken)
    assert await stage.told() == [("fitbit", "firing")]


async def test_what_was_taken_over_is_not_settled_by_the_first(stage: Stage) -> None:
    """It writes nothing, before and after the second one did, and all is told once."""
    await stage.register(ANN)
    await break_(stage, ANN)
    slept = await stage.docket()
    stage.now += LEASE
    taken = await stage.docket()
    assert not await stage.settle(slept)
    assert await stage.alerts() == []
    assert await stage.settle(taken)
    assert not await stage.settle(slept)
    assert not await stage.settle(taken)
    assert await stage.told() == [("fitbit", "firing")]


async def test_only_who_has_a_docket_in_hand_gives_it_back(stage: Stage) -> None:
    """The one before it does not free what another one decides on."""
    await stage.register(ANN)
    await break_(stage, ANN)
    slept = await stage.docket()
    stage.now += LEASE
    taken = await stage.docket()
    await stage.store.alerts.release(slept)
    assert await stage.take_docket() is None
    assert await stage.settle(taken)


async def test_what_comes_while_a_docket_is_in_hand_is_for_the_next(stage: Stage) -> None:
    """It is not lost with what was settled."""
    await stage.register(ANN, BOB)
    await break_(stage, ANN)
    taken = await stage.docket()
    await break_(stage, BOB)
    assert await stage.settle(taken)
    assert [each.user.user_id for each in (await stage.docket()).docket.entries] == [BOB]


async def test_a_user_erased_in_between_is_left_out(stage: Stage) -> None:
    """The others are decided on; of the erased one nothing comes back."""
    await stage.register(ANN, BOB)
    await break_(stage, ANN, BOB)
    taken = await stage.docket()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    assert await stage.settle(taken)
    assert [each.alert.user.user_id for each in await stage.alerts()] == [BOB]
    assert [each.payload["user_id"] for each in await stage.notices()] == [str(BOB)]


async def test_a_user_erased_and_back_in_between_is_another_one(stage: Stage) -> None:
    """No decision on the old one is a decision on the new."""
    await stage.register(ANN)
    await break_(stage, ANN)
    taken = await stage.docket()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    stage.later(seconds=1)
    await stage.register(ANN)
    assert await stage.settle(taken)
    assert await stage.alerts() == []
    assert await stage.notices() == []


async def test_what_is_queued_after_an_erasure_is_not_settled_with_it(stage: Stage) -> None:
    """A number of the queue is never another's."""
    await stage.register(BOB, ANN)
    await stage.see(BOB, connected())
    await break_(stage, ANN)
    taken = await stage.docket()
    await stage.store.cohort.erase(TARGET, ANN, now=stage.now)
    await stage.see(BOB, broken())
    assert await stage.settle(taken)
    await stage.decide()
    assert [each.alert.user.user_id for each in await stage.alerts()] == [BOB]


async def test_the_same_user_of_another_target_is_another_one(stage: Stage) -> None:
    """Each has its alert, and one healing leaves the other."""
    for target in (TARGET, OTHER_TARGET):
        await stage.register(ANN, target=target)
        await stage.see(ANN, connected(), target=target)
        await stage.see(ANN, broken(), target=target)
    await stage.decide()
    await stage.see(ANN, connected(), target=TARGET)
    await stage.decide()
    assert [each.user.target for each in await stage.open_alerts()] == [OTHER_TARGET]


async def test_a_removal_ends_alerts_after_what_was_seen_before(stage: Stage) -> None:
    """The error fires, then the removal ends it, with its reason."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    assert await stage.told() == [("fitbit", "firing"), ("fitbit", "resolved")]
    assert [each.reason for each in await stage.alerts()] == [REMOVED]


async def test_a_removal_withdraws_what_is_not_confirmed(stage: Stage) -> None:
    """Nobody hears of it."""
    stage.policy = replace(POLICY, confirm_for=HOUR)
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    assert [each.alert.state for each in await stage.alerts()] == ["withdrawn"]
    assert await stage.notices() == []


async def test_a_user_that_is_back_keeps_the_alerts_of_its_new_life(stage: Stage) -> None:
    """The removal, decided on late, ends only what was before it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.decide()
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    await stage.decide()
    assert [state for _, state in await stage.told()] == ["firing", "resolved", "firing"]


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_a_connection_that_flaps_has_one_alert(stage: Stage, limit: int) -> None:
    """Whether it is decided on one by one or all at once; it is over when it was quiet for long enough."""
    stage.policy = replace(POLICY, flapping=Flapping(transitions=4, within=HOUR))
    await stage.register(ANN)
    for _ in range(3):
        await break_(stage, ANN)
        await stage.decide(limit=limit)
    (unstable,) = await stage.open_alerts()
    assert (unstable.kind, unstable.status) == (AlertKind.UNSTABLE, "error")
    assert unstable.due_at == stage.now + HOUR
    await stage.see(ANN, connected())
    await stage.decide()
    stage.later(hours=1)
    await stage.decide()
    assert await stage.open_alerts() == []
    assert (await stage.told())[-2:] == [("fitbit", "firing"), ("fitbit", "resolved")]


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_the_size_of_a_docket_changes_no_decision(stage: Stage, limit: int) -> None:
    """A transition that waits for the next docket is no history of this one's."""
    stage.policy = replace(POLICY, flapping=Flapping(transitions=4, within=HOUR))
    await stage.register(ANN)
    for _ in range(3):
        await break_(stage, ANN)
    await stage.decide(limit=limit)
    error, again, unstable = await stage.alerts()
    assert (error.alert.kind, again.alert.kind) == (AlertKind.ERROR, AlertKind.ERROR)
    assert unstable.fired_reason == "5 transitions within 60 min"


async def test_an_unstable_connection_that_rests_in_error_is_told_as_one_in_error(stage: Stage) -> None:
    """Its end and the new alert in one, in this order."""
    stage.policy = replace(POLICY, flapping=Flapping(transitions=4, within=HOUR))
    await stage.register(ANN)
    for _ in range(3):
        await break_(stage, ANN)
    await stage.decide()
    stage.later(hours=1)
    await stage.decide()
    assert [(each.kind, each.state) for each in await stage.open_alerts()] == [(AlertKind.ERROR, "firing")]
    assert [state for _, state in await stage.told()][-3:] == ["firing", "resolved", "firing"]


async def test_a_settlement_that_decides_nothing_ends_what_was_queued(stage: Stage) -> None:
    """An error that nobody wants to hear of is done with."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken(error_type="unknown"))
    taken = await stage.docket()
    assert evaluate(taken.docket, stage.policy, stage.now).decisions == ()
    assert await stage.settle(taken)
    assert await kept.undecided(stage.store) == 0

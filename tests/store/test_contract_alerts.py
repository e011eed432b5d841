from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.core.evaluation import evaluate
from monitor.core.model import Intent
from monitor.core.policy import Severity
from monitor.core.tally import Count, Key
from monitor.core.wording import payload
from monitor.ports import Done
from tests.store.contract_stage import ANN, BOB, CID, LEASE, TARGET, broken, connected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from monitor.core.judge import Verdict
    from tests.store.contract_stage import Stage


async def fire(stage: Stage, user: UUID, provider: str = "fitbit") -> Verdict:
    """Let a connection break that was healthy."""
    await stage.see(user, connected(provider))
    verdict = await stage.see(user, broken(provider))
    await stage.decide()
    return verdict


async def firing(stage: Stage) -> dict[str, int]:
    """Return how many alerts the counts say are firing, by severity."""
    return {key.b: amount for key, amount in (await stage.counts()).items() if key.count is Count.ALERTS}


async def test_an_alert_that_fires_is_told_as_it_was_decided(stage: Stage) -> None:
    """The notice says word for word what the core makes of the decision."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    taken = await stage.docket()
    decision = evaluate(taken.docket, stage.policy, stage.now).decisions[-1]
    await stage.settle(taken)
    (notice,) = await stage.notices()
    assert dict(notice.payload) == payload(decision)
    assert await stage.open_alerts(ANN) == [decision.alert]
    assert await firing(stage) == {"warning": 1}


async def test_an_alert_that_resolves_is_not_open_any_more(stage: Stage) -> None:
    """Both steps of its life are told, under one id."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.see(ANN, connected())
    await stage.decide()
    notices = await stage.notices()
    assert [each.payload["state"] for each in notices] == ["firing", "resolved"]
    assert len({each.payload["alert_id"] for each in notices}) == 1
    assert await stage.open_alerts(ANN) == []
    assert await firing(stage) == {}


async def test_another_error_resolves_one_alert_and_fires_the_next(stage: Stage) -> None:
    """A connection has one open alert at most."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.see(ANN, broken(error_type="provider_credential_error"))
    await stage.decide()
    assert [state for _, state in await stage.told()] == ["firing", "resolved", "firing"]
    assert [each.severity for each in await stage.open_alerts(ANN)] == [Severity.CRITICAL]
    assert await firing(stage) == {"critical": 1}


async def test_a_suppressed_error_is_not_told(stage: Stage) -> None:
    """A severity of none raises nothing."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken(error_type="unknown"))
    await stage.decide()
    assert await stage.notices() == []
    assert await stage.open_alerts(ANN) == []


async def test_a_user_that_goes_takes_its_alerts_with_it(stage: Stage) -> None:
    """Nothing is in error where nobody is."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    await stage.see(ANN, broken("fitbit"), broken("oura"))
    await stage.go(ANN)
    await stage.decide()
    assert sorted(state for _, state in await stage.told()) == ["firing", "firing", "resolved", "resolved"]
    assert await firing(stage) == {}


async def test_notices_wait_in_the_order_of_their_decisions(stage: Stage) -> None:
    """Of one user and of several."""
    await stage.register(ANN, BOB)
    await fire(stage, ANN, "oura")
    await fire(stage, BOB, "fitbit")
    await stage.see(ANN, connected("oura"))
    await stage.decide()
    assert await stage.told() == [("oura", "firing"), ("fitbit", "firing"), ("oura", "resolved")]


async def test_the_oldest_notices_come_first_up_to_the_limit(stage: Stage) -> None:
    """The rest waits, and is counted."""
    await stage.register(ANN, BOB, CID)
    for user in (CID, ANN, BOB):
        await fire(stage, user)
    some = await stage.store.outbox.claim("log", limit=2, now=stage.now, lease=LEASE)
    assert [each.payload["user_id"] for each in some] == [str(CID), str(ANN)]
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 3


async def test_a_notice_in_hand_is_not_handed_out_again(stage: Stage) -> None:
    """Two replicas do not tell the same; after a lease the second one does."""
    await stage.register(ANN, BOB)
    await fire(stage, ANN)
    await fire(stage, BOB)
    outbox = stage.store.outbox
    (first,) = await outbox.claim("log", limit=1, now=stage.now, lease=LEASE)
    (second,) = await outbox.claim("log", limit=9, now=stage.now, lease=LEASE)
    assert first.id != second.id
    assert await outbox.claim("log", limit=9, now=stage.now, lease=LEASE) == []
    again = await outbox.claim("log", limit=9, now=stage.now + LEASE, lease=LEASE)
    assert [each.id for each in again] == sorted([first.id, second.id])


async def test_only_who_has_a_notice_in_hand_gives_it_back(stage: Stage) -> None:
    """A process that slept through its lease does not free what another one is telling."""
    await stage.register(ANN)
    await fire(stage, ANN)
    outbox = stage.store.outbox
    slept = await outbox.claim("log", limit=1, now=stage.now, lease=LEASE)
    taken = await outbox.claim("log", limit=1, now=stage.later(minutes=1), lease=LEASE)
    await outbox.release(slept)
    assert await outbox.claim("log", limit=1, now=stage.now, lease=LEASE) == []
    await outbox.release([])
    await outbox.release(taken)
    assert len(await outbox.claim("log", limit=1, now=stage.now, lease=LEASE)) == 1


async def test_a_notice_that_was_written_does_not_wait(stage: Stage) -> None:
    """Marking it twice, or marking what is not there, is no error."""
    await stage.register(ANN, BOB)
    await fire(stage, ANN)
    await fire(stage, BOB)
    first, second = await stage.store.outbox.claim("log", limit=2, now=stage.now, lease=LEASE)
    await stage.store.outbox.release([second])
    for _ in range(2):
        await stage.store.outbox.settle([first], Done.DELIVERED, now=stage.now)
    assert [each.id for each in await stage.notices()] == [second.id]
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 1


async def test_marking_nothing_marks_nothing(stage: Stage) -> None:
    """An empty batch is no error."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.store.outbox.settle([], Done.DELIVERED, now=stage.now)
    assert (await stage.store.outbox.undelivered()).get("log", 0) == 1


async def test_a_removed_user_has_its_alerts_resolved(stage: Stage) -> None:
    """By a person, not by a transition; the alert's own words stay."""
    await stage.register(ANN)
    await fire(stage, ANN)
    (fired,) = await stage.notices()
    stage.later(minutes=1)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    _, resolved = await stage.notices()
    words: Mapping[str, Any] = resolved.payload
    assert (words["state"], words["alert_id"]) == ("resolved", fired.payload["alert_id"])
    assert (words["kind"], words["transition_id"]) == (None, None)
    assert words["error_type"] == "token_refresh_failed"
    assert words["observed_at"] == stage.now.isoformat().replace("+00:00", "Z")
    assert await firing(stage) == {}


async def test_an_error_that_outlasts_the_removal_of_its_user_fires_again(stage: Stage) -> None:
    """As an alert of its own, with the transition of that error, once the user was observed again."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    stage.later(minutes=1)
    await stage.register(ANN)
    assert await stage.take_docket() is None
    await stage.see(ANN, broken())
    await stage.decide()
    first, ended, again = [each.payload for each in await stage.notices()]
    assert [each["state"] for each in (first, ended, again)] == ["firing", "resolved", "firing"]
    assert first["alert_id"] == ended["alert_id"] != again["alert_id"]
    assert first["transition_id"] == again["transition_id"]
    assert await stage.take_docket() is None


async def test_a_paused_user_keeps_its_alerts(stage: Stage) -> None:
    """Pausing says nothing of connections."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.PAUSED, now=stage.now)
    await stage.decide()
    assert len(await stage.notices()) == 1
    assert await firing(stage) == {"warning": 1}


async def test_alerts_that_fell_to_nothing_are_still_counted_as_zero(stage: Stage) -> None:
    """A rule is to see the fall."""
    await stage.register(ANN)
    await fire(stage, ANN)
    await stage.see(ANN, connected())
    await stage.decide()
    assert (await stage.store.views.counts())[Key(TARGET, Count.ALERTS, "fitbit", "warning")] == 0

"""The life of an alert across commits: unknown statuses, repeated errors, changed policies, first snapshots."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.alerting import AlertKind
from monitor.core.incidents import WaveKey
from monitor.core.model import UNKNOWN_STATUS, Connection, Intent, Presence
from monitor.core.policy import IncidentRule, Policy, Severity
from monitor.core.policy_change import apply_policy
from monitor.core.tally import Count, Key
from monitor.ports import EVERYTHING, EvaluationScope, ListedUser
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, CID, LEASE, POLICY, START, TARGET, broken, connected

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from tests.store.contract_stage import Stage

MINUTE = timedelta(minutes=1)


def odd(provider: str = "fitbit") -> Connection:
    """Return a row whose status is not documented."""
    return Connection(provider=provider, status="ingesting")


async def break_(stage: Stage, *users: UUID) -> None:
    """Let healthy connections break, and decide on it."""
    for user in users:
        await stage.see(user, connected())
        await stage.see(user, broken())
    await stage.decide()


async def apply(stage: Stage, policy: Policy, *, limit: int = 500, sinks: Collection[str] = ("log",)) -> int:
    """Apply a policy to what is open, page by page; return how many steps that took."""
    after, steps, alerts = 0, 0, stage.store.alerts
    while True:
        page = await alerts.open_alert_keys(limit=limit, after=after)
        scope = EvaluationScope(members=frozenset(page.members), incidents=frozenset(page.incidents))
        taken = await alerts.claim_open_alerts(policy, scope=scope, now=stage.now, lease=LEASE)
        assert taken is not None
        outcome = apply_policy(taken.docket, policy, stage.now)
        assert await alerts.settle(taken, outcome, policy, sinks=sinks)
        steps += len(outcome.decisions) + len(outcome.incidents)
        if len(page.members) < limit:
            return steps
        after = page.members[-1]


async def said(stage: Stage) -> list[tuple[str, str, int]]:
    """Return state, severity and number of updates of what waits."""
    return [(each.payload["state"], each.payload["severity"], each.updates) for each in await stage.notices()]


async def test_an_unknown_status_keeps_an_error_open_and_is_stored(stage: Stage) -> None:
    """The alert goes on, its status follows, and only a known status ends it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.see(ANN, odd())
    await stage.decide()
    (alert,) = await stage.open_alerts()
    assert (alert.kind, alert.status, alert.error_type) == (AlertKind.ERROR, "ingesting", "token_refresh_failed")
    await stage.see(ANN, connected())
    await stage.decide()
    assert await stage.told() == [("fitbit", "firing"), ("fitbit", "resolved")]


async def test_unknown_statuses_of_many_users_are_one_incident(stage: Stage) -> None:
    """They are grouped under one error type of their own."""
    stage.policy = replace(POLICY, incident=IncidentRule(min_users=3, within=timedelta(hours=1)))
    await stage.register(ANN, BOB, CID)
    for user in (ANN, BOB, CID):
        await stage.see(user, connected())
    for user in (ANN, BOB, CID):
        await stage.see(user, odd())
        await stage.decide()
    (incident,) = await kept.incidents(stage.store)
    assert incident.key == WaveKey(TARGET, "fitbit", UNKNOWN_STATUS)
    assert {(each.kind, each.incident_id) for each in await stage.open_alerts()} == {
        (AlertKind.UNKNOWN_STATUS, incident.id)
    }
    assert incident.broken == 3


async def test_an_error_that_is_stamped_anew_is_stored_in_its_one_alert(stage: Stage) -> None:
    """The newest time and message are kept, and nobody hears of it again."""
    await stage.register(ANN)
    await break_(stage, ANN)
    for number in range(5):
        await stage.see(ANN, broken(errored_at=START + number * MINUTE, error_message=f"attempt {number}"))
        await stage.decide()
    (view,) = await stage.alerts()
    assert (view.alert.errored_at, view.alert.error_message) == (START + 4 * MINUTE, "attempt 4")
    assert (view.fired_reason, await stage.told()) == ("it is new", [("fitbit", "firing")])


async def test_a_higher_severity_is_notified_again(stage: Stage) -> None:
    """The same alert, its next update, with the transition that began it; and the counts follow."""
    await stage.register(ANN)
    await break_(stage, ANN)
    assert await apply(stage, Policy(otherwise=Severity.CRITICAL)) == 1
    first, again = await stage.notices()
    assert await said(stage) == [("firing", "warning", 0), ("firing", "critical", 1)]
    assert first.payload["alert_id"] == again.payload["alert_id"]
    assert first.payload["transition_id"] == again.payload["transition_id"]
    assert (first.payload["updates"], again.payload["updates"]) == (0, 1)
    counts = await stage.counts()
    assert Key(TARGET, Count.ALERTS, "fitbit", "warning") not in counts
    assert counts[Key(TARGET, Count.ALERTS, "fitbit", "critical")] == 1
    assert [each.fired_reason for each in await stage.alerts()] == ["it is new"]


async def test_a_lower_severity_is_only_stored(stage: Stage) -> None:
    """Nobody is woken to hear that something matters less."""
    await stage.register(ANN)
    await break_(stage, ANN)
    assert await apply(stage, Policy(otherwise=Severity.INFO)) == 1
    assert [each.severity for each in await stage.open_alerts()] == [Severity.INFO]
    assert await said(stage) == [("firing", "warning", 0)]
    await stage.deliver()
    assert [each.severity for each in (await stage.store.outbox.firing("log", limit=10)).alerts] == ["info"]


async def test_a_severity_of_none_ends_an_open_alert(stage: Stage) -> None:
    """With its reason."""
    await stage.register(ANN)
    await break_(stage, ANN)
    assert await apply(stage, Policy(otherwise=Severity.NONE)) == 1
    assert await said(stage) == [("firing", "warning", 0), ("resolved", "warning", 0)]
    assert [each.reason for each in await stage.alerts()] == ["its severity is now none"]


@pytest.mark.parametrize("severity", sorted(Severity))
async def test_a_policy_that_is_applied_again_changes_nothing(stage: Stage, severity: Severity) -> None:
    """So each replica may do it at its start."""
    await stage.register(ANN, BOB, CID)
    await break_(stage, ANN, BOB, CID)
    await apply(stage, Policy(otherwise=severity), limit=2)
    before = await stage.notices()
    assert await apply(stage, Policy(otherwise=severity), limit=2) == 0
    assert await stage.notices() == before


async def test_open_alerts_are_not_claimed_while_they_are_decided_on(stage: Stage) -> None:
    """One lease covers all decisions."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.see(ANN, connected())
    taken = await stage.docket()
    claim = stage.store.alerts.claim_open_alerts
    assert await claim(POLICY, scope=EVERYTHING, now=stage.now, lease=LEASE) is None
    assert await stage.settle(taken)


async def test_an_incident_takes_its_new_severity_and_ends_with_none(stage: Stage) -> None:
    """It is one step above that of a member; a lower one is not notified."""
    stage.policy = replace(POLICY, otherwise=Severity.INFO, incident=IncidentRule(min_users=2))
    await stage.register(ANN, BOB)
    for user in (ANN, BOB):
        await stage.see(user, connected())
    for user in (ANN, BOB):
        await stage.see(user, broken())
    await stage.decide()
    incident_rule = stage.policy.incident
    for severity in (Severity.WARNING, Severity.INFO, Severity.NONE):
        await apply(stage, Policy(otherwise=severity, incident=incident_rule))
    told = [each.payload for each in await stage.notices() if "users" in each.payload]
    assert [(each["state"], each["severity"], each["updates"]) for each in told] == [
        ("firing", "warning", 0),
        ("firing", "critical", 1),
        ("resolved", "warning", 1),
    ]
    assert await stage.open_alerts() == []


async def test_who_recovered_while_removed_has_no_alert_again(stage: Stage) -> None:
    """What is observed first decides, not what was stored."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.decide()
    assert await stage.open_alerts() == []
    assert await stage.told() == [("fitbit", "firing"), ("fitbit", "resolved")]


async def test_who_is_removed_again_before_it_was_observed_has_no_alert_again(stage: Stage) -> None:
    """Nobody watches it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    for _ in range(2):
        await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
        stage.later(minutes=1)
        await stage.register(ANN)
    await stage.see(ANN, broken())
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    assert await stage.open_alerts() == []
    assert await kept.undecided(stage.store) == 0


async def test_who_is_added_again_is_no_backlog_before_it_was_observed(stage: Stage) -> None:
    """It may never be: then nothing waits for an evaluation, and no rule fires for it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    stage.later(minutes=1)
    await stage.register(ANN)
    assert (await stage.store.views.evaluation_backlog()).entries == 0
    await stage.see(ANN, broken())
    assert (await stage.store.views.evaluation_backlog()).entries == 1
    await stage.decide()
    assert (await stage.store.views.evaluation_backlog()).entries == 0


async def test_who_was_added_and_removed_unobserved_leaves_nothing_in_the_queue(stage: Stage) -> None:
    """No poll would ever let it be decided on."""
    await stage.register(ANN)
    await break_(stage, ANN)
    for _ in range(2):
        await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
        stage.later(minutes=1)
        await stage.register(ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.decide()
    assert await kept.undecided(stage.store) == 0


async def test_an_error_that_ended_before_the_removal_does_not_fire_again(stage: Stage) -> None:
    """Only what the removal ended goes on after it."""
    await stage.register(ANN)
    await break_(stage, ANN)
    await apply(stage, Policy(otherwise=Severity.NONE))
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.register(ANN)
    await stage.see(ANN, broken())
    await stage.decide()
    assert await stage.open_alerts() == []


async def test_an_invalid_user_that_was_removed_and_added_is_polled_again(stage: Stage) -> None:
    """A person asked for it: it is active, present and due."""
    await stage.register(ANN)
    await stage.refuse(ANN)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    assert (await stage.register(ANN)).returned == 1
    member = await stage.store.cohort.member(TARGET, ANN)
    assert member is not None
    assert (member.intent, member.presence, member.reason) == (Intent.ACTIVE, Presence.PRESENT, None)
    assert await stage.claim() == [ANN]


async def test_an_error_younger_than_the_registration_fires_in_a_first_snapshot(stage: Stage) -> None:
    """An older one does not, and neither does one without a time: adopting a cohort never fires."""
    await stage.register(ANN, BOB, CID)
    await stage.see(ANN, broken(errored_at=START + timedelta(microseconds=1)))
    await stage.see(BOB, broken(errored_at=START))
    await stage.see(CID, broken())
    assert await kept.undecided(stage.store) == 1
    await stage.decide()
    (alert,) = await stage.open_alerts()
    (transition,) = await stage.transitions(user_id=ANN)
    assert (alert.user.user_id, alert.began_by) == (ANN, transition.id)


@pytest.mark.parametrize(
    ("created_after", "is_discovered", "fires"),
    [(1, True, True), (-1, True, False), (0, True, False), (1, False, False)],
)
async def test_a_user_younger_than_the_first_discovery_fires_in_its_first_snapshot(
    stage: Stage, created_after: int, is_discovered: bool, fires: bool
) -> None:
    """Where discovery found it; a person who adds users adopts them as they are."""
    await stage.store.cohort.note_discovery(TARGET, START)
    await stage.store.cohort.note_discovery(TARGET, START + 10 * MINUTE)
    stage.later(minutes=20)
    created_on = START + created_after * MINUTE
    listed = ListedUser(user_id=ANN, client_user_id=None, created_on=created_on)
    await stage.store.cohort.register(TARGET, [listed], now=stage.now, revive=not is_discovered)
    await stage.see(ANN, broken(errored_at=START))
    await stage.decide()
    assert bool(await stage.open_alerts()) is fires


async def test_without_a_finished_discovery_no_user_is_younger_than_it(stage: Stage) -> None:
    """Its whole list is adopted."""
    listed = ListedUser(user_id=ANN, client_user_id=None, created_on=START + MINUTE)
    await stage.store.cohort.register(TARGET, [listed], now=stage.now, revive=False)
    await stage.see(ANN, broken(errored_at=START - MINUTE))
    assert await kept.undecided(stage.store) == 0


async def test_an_end_goes_to_the_sinks_that_have_the_firing(stage: Stage) -> None:
    """Whoever decides on it: none of them is left out, and no other hears of it."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN, broken())
    await stage.decide(sinks=["log", "pager"])
    await stage.see(ANN, connected())
    await stage.decide(sinks=["log", "chat"])
    undelivered = await stage.store.outbox.undelivered()
    assert {name: amount for name, amount in undelivered.items() if amount} == {"log": 2, "pager": 2}

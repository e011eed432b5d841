"""One user's entries that cannot be evaluated stop nobody else's evaluation, whatever fails and wherever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import func, select, update
from structlog.testing import LogCapture

from monitor.core import wording
from monitor.core.model import Intent
from monitor.core.policy import Policy, Severity
from monitor.evaluator import Evaluator
from monitor.store import notices
from monitor.store.memory import MemoryStore
from monitor.store.tables import alerts, incidents, transitions, undecided, users
from tests.poller.world import Recorded
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, CID, POLICY, TARGET, Stage, broken, connected
from tests.store.test_contract_incidents import RULE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from monitor.core.alerting import Decision

ODD: Any = ["no such word"]
"""What no row holds that this release wrote: handling it raises."""


class Evaluated:
    """A store with an evaluator, what it told, and rows that it cannot handle."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.metrics, self.logs = Recorded(), LogCapture()
        self._evaluator = self.restarted()

    def restarted(self) -> Evaluator:
        """Return an evaluator as a daemon has it that has just started."""
        self._evaluator = Evaluator(
            alerts=self.stage.store.alerts,
            policy=self.stage.policy,
            sinks=["log"],
            metrics=self.metrics,
            log=structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs]),
            clock=lambda: self.stage.now,
        )
        return self._evaluator

    async def decide(self) -> None:
        """Let a tick come."""
        await self._evaluator.decide()

    def said(self) -> list[str]:
        """Return the users whose entries were set aside, as logged."""
        return [each.get("user_id", "") for each in self.logs.entries if each["event"] == "evaluation.set_aside"]

    async def fired(self) -> list[UUID]:
        """Return the users with a firing alert."""
        return [each.user.user_id for each in await self.stage.open_alerts() if each.state == "firing"]

    async def break_(self, *users: UUID) -> None:
        """Let connections break that were healthy."""
        for user in users:
            await self.stage.see(user, connected())
            await self.stage.see(user, broken())

    async def poison(self, user: UUID) -> None:
        """Make a user's waiting transitions ones that cannot be evaluated."""
        store: Any = self.stage.store
        if isinstance(store, MemoryStore):
            queue = store._alerts._tables.undecided
            for number, entry in list(queue.items()):
                if entry.transition is not None and entry.transition.user_id == user:
                    queue[number] = replace(entry, transition=replace(entry.transition, error_type=ODD))
            return
        waits = transitions.c.id.in_(select(undecided.c.transition_id))
        spoilt = "?" + transitions.c.kind
        await self._write(update(transitions).where(_is_of(transitions, user), waits).values(kind=spoilt))

    async def cure(self) -> None:
        """Make everything readable again."""
        store: Any = self.stage.store
        if isinstance(store, MemoryStore):
            tables = store._alerts._tables
            for number, entry in list(tables.undecided.items()):
                stored = entry.transition and tables.transitions[entry.transition.id][1]
                tables.undecided[number] = replace(entry, transition=stored)
            return
        is_spoilt = transitions.c.kind.like("?%")
        await self._write(update(transitions).where(is_spoilt).values(kind=func.substr(transitions.c.kind, 2)))
        await self._write(update(alerts).where(alerts.c.kind == ODD[0]).values(kind="error"))
        await self._write(update(incidents).where(incidents.c.cause == ODD[0]).values(cause="provider"))

    async def _write(self, statement: Any) -> None:
        store: Any = self.stage.store
        async with store._database.writing() as connection:
            await connection.execute(statement)


def _is_of(table: Any, user: UUID) -> Any:
    return table.c.member == select(users.c.id).where(users.c.user_id == user).scalar_subquery()


@pytest.fixture
async def evaluated(stage: Stage) -> AsyncIterator[Evaluated]:
    """Give each kind of store with an evaluator."""
    evaluated = Evaluated(stage)
    yield evaluated
    await evaluated.cure()


async def test_everybody_else_is_decided_in_the_same_tick(evaluated: Evaluated) -> None:
    """The failing user is logged and counted once, however many are in the batch."""
    others = [UUID(int=number) for number in range(10, 30)]
    await evaluated.stage.register(ANN, *others)
    await evaluated.break_(*others[:10], ANN, *others[10:])
    await evaluated.poison(ANN)
    await evaluated.decide()
    assert sorted(await evaluated.fired()) == others
    assert evaluated.said() == [str(ANN)]
    assert evaluated.metrics.of("job_crashed") == [("evaluate",)]


async def test_a_user_that_cannot_be_evaluated_alone_is_set_aside(evaluated: Evaluated) -> None:
    """The queue is empty for the next tick, and the entries are kept."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    assert await evaluated.stage.take_docket() is None
    assert await kept.undecided(evaluated.stage.store) == 1


async def test_what_is_set_aside_is_in_the_backlog(evaluated: Evaluated) -> None:
    """Rules see how much waits and since when, whoever restarts."""
    await evaluated.stage.register(ANN, BOB)
    await evaluated.break_(ANN)
    seen_at = evaluated.stage.now
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.break_(BOB)
    backlog = await evaluated.stage.store.views.evaluation_backlog()
    assert (backlog.entries, backlog.oldest) == (2, seen_at)
    await evaluated.cure()
    await evaluated.restarted().decide()
    backlog = await evaluated.stage.store.views.evaluation_backlog()
    assert (backlog.entries, backlog.oldest) == (0, None)


async def test_later_transitions_of_the_user_are_evaluated(evaluated: Evaluated) -> None:
    """Only what cannot be handled is left out."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.stage.see(ANN, broken(), broken("oura"))
    await evaluated.stage.see(ANN, broken(), connected("oura"))
    await evaluated.stage.see(ANN, broken(), broken("oura"))
    await evaluated.decide()
    assert [each.provider for each in await evaluated.stage.open_alerts()] == ["oura"]


async def test_the_next_daemon_tries_again(evaluated: Evaluated) -> None:
    """It may know how; then the alert fires late, and not never."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.restarted().decide()
    assert evaluated.said() == [str(ANN)] * 2
    await evaluated.cure()
    await evaluated.decide()
    assert await evaluated.fired() == []
    await evaluated.restarted().decide()
    assert await evaluated.fired() == [ANN]


async def test_the_same_daemon_tries_again_after_an_hour(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to restart it for a fault that passed."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.cure()
    monkeypatch.setattr(evaluated._evaluator, "_retry_at", 0.0)
    await evaluated.decide()
    assert await evaluated.fired() == [ANN]


async def test_an_error_that_is_over_does_not_fire_when_it_is_tried_again(evaluated: Evaluated) -> None:
    """Its end was evaluated already, so nothing would ever resolve it."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.stage.see(ANN, connected())
    await evaluated.decide()
    await evaluated.cure()
    await evaluated.restarted().decide()
    assert await evaluated.stage.alerts() == []
    assert await kept.undecided(evaluated.stage.store) == 0


async def test_a_removal_that_was_set_aside_ends_alerts_later(evaluated: Evaluated) -> None:
    """A person took the user out, so its alert must not stay open."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.decide()
    await evaluated.stage.see(ANN, broken(), broken("oura"))
    await evaluated.stage.see(ANN, broken(), connected("oura"))
    await evaluated.stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=evaluated.stage.later(minutes=1))
    await evaluated.poison(ANN)
    await evaluated.decide()
    assert await kept.undecided(evaluated.stage.store) > 0
    await evaluated.cure()
    await evaluated.restarted().decide()
    assert await evaluated.stage.open_alerts() == []


async def test_a_removal_that_was_set_aside_ends_nothing_once_the_user_is_back(evaluated: Evaluated) -> None:
    """Its alert went on all the time, and nothing would start it again."""
    stage = evaluated.stage
    await stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.decide()
    await stage.see(ANN, broken(), broken("oura"))
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.later(minutes=1))
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.cure()
    await stage.register(ANN)
    await stage.see(ANN, broken(), broken("oura"))
    await evaluated.decide()
    await evaluated.restarted().decide()
    assert sorted(each.provider for each in await stage.open_alerts()) == ["fitbit", "oura"]
    assert await kept.undecided(stage.store) == 0


async def test_an_addition_that_was_set_aside_starts_alerts_again_later(evaluated: Evaluated) -> None:
    """Whatever was evaluated of another connection meanwhile."""
    stage = evaluated.stage
    await stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.decide()
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.later(minutes=1))
    await evaluated.decide()
    await stage.register(ANN)
    await stage.see(ANN, broken(), broken("oura"))
    await evaluated.poison(ANN)
    await evaluated.decide()
    assert evaluated.said() == [str(ANN)]
    await stage.see(ANN, broken(), connected("oura"))
    await evaluated.decide()
    await evaluated.cure()
    await evaluated.restarted().decide()
    assert [each.provider for each in await stage.open_alerts()] == ["fitbit"]


async def test_an_error_that_is_only_stamped_anew_fires_when_it_is_tried_again(evaluated: Evaluated) -> None:
    """The same error with another time starts no alert of its own, so the first transition is still needed."""
    stage = evaluated.stage
    await stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await stage.see(ANN, broken(errored_at=stage.now))
    await evaluated.decide()
    await evaluated.cure()
    await evaluated.restarted().decide()
    assert await evaluated.fired() == [ANN]


async def test_an_open_alert_that_cannot_be_read_keeps_no_policy_from_the_others(evaluated: Evaluated) -> None:
    """It is logged, what is new is decided on, and the next daemon applies the policy to it."""
    stage = evaluated.stage
    await stage.register(ANN, BOB, CID)
    await evaluated.break_(ANN, BOB, CID)
    await evaluated.decide()
    restore = await _spoil_alert(evaluated, ANN)
    stage.policy = Policy(otherwise=Severity.CRITICAL)
    evaluator = evaluated.restarted()
    assert await evaluator.apply_policy()
    assert evaluated.said() == [str(ANN)]
    assert not await evaluator.apply_policy()
    await restore()
    assert await _severities(evaluated) == {ANN: "warning", BOB: "critical", CID: "critical"}
    assert await evaluated.restarted().apply_policy()
    assert set((await _severities(evaluated)).values()) == {"critical"}


async def test_a_policy_that_could_not_be_applied_is_tried_again(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an hour, so nobody has to restart the daemon for a fault that passed."""
    stage = evaluated.stage
    await stage.register(ANN, BOB)
    await evaluated.break_(ANN, BOB)
    await evaluated.decide()
    restore = await _spoil_alert(evaluated, ANN)
    stage.policy = Policy(otherwise=Severity.CRITICAL)
    evaluator = evaluated.restarted()
    await evaluator.apply_policy()
    await evaluated.decide()
    await restore()
    assert not await evaluator.apply_policy()
    monkeypatch.setattr(evaluator, "_policy_retry_at", 0.0)
    assert await evaluator.apply_policy()
    assert set((await _severities(evaluated)).values()) == {"critical"}


async def test_an_incident_that_cannot_be_read_keeps_no_policy_from_the_alerts(evaluated: Evaluated) -> None:
    """Of other kinds; incidents are told apart before users are."""
    stage = evaluated.stage
    stage.policy = replace(POLICY, incident=RULE)
    evaluated.restarted()
    await stage.register(*(crowd := [UUID(int=number) for number in range(10, 20)]), CID)
    await evaluated.break_(*crowd)
    await stage.see(CID, connected("oura"))
    await stage.see(CID, broken("oura"))
    await evaluated.decide()
    restore = await _spoil_incident(evaluated)
    stage.policy = Policy(otherwise=Severity.CRITICAL, incident=RULE)
    await evaluated.restarted().apply_policy()
    assert [each["incident_id"] for each in evaluated.logs.entries if "incident_id" in each] != []
    await restore()
    assert (await _severities(evaluated))[CID] == "critical"


async def test_an_erased_user_leaves_nothing_set_aside(evaluated: Evaluated) -> None:
    """Erasing reaches what could not be evaluated, too."""
    await evaluated.stage.register(ANN)
    await evaluated.break_(ANN)
    await evaluated.poison(ANN)
    await evaluated.decide()
    await evaluated.stage.store.cohort.erase(TARGET, ANN, now=evaluated.stage.now)
    assert await kept.undecided(evaluated.stage.store) == 0
    assert (await evaluated.stage.store.views.evaluation_backlog()).entries == 0


async def test_a_due_alert_that_cannot_be_read_holds_up_no_other(evaluated: Evaluated) -> None:
    """It has no entry to set aside, and is skipped until it is tried again."""
    stage = evaluated.stage
    stage.policy = replace(POLICY, confirm_for=timedelta(hours=1))
    evaluated.restarted()
    await stage.register(ANN, BOB)
    await evaluated.break_(ANN, BOB)
    await evaluated.decide()
    restore = await _spoil_alert(evaluated, ANN)
    stage.later(hours=2)
    await evaluated.decide()
    assert evaluated.said() == [str(ANN)]
    await evaluated.decide()
    assert evaluated.said() == [str(ANN)]
    await restore()
    assert await evaluated.fired() == [BOB]
    await evaluated.restarted().decide()
    assert sorted(await evaluated.fired()) == [ANN, BOB]


async def test_an_incident_that_cannot_be_read_holds_up_no_user(evaluated: Evaluated) -> None:
    """Whose alerts are of another kind."""
    stage = evaluated.stage
    stage.policy = replace(POLICY, incident=RULE)
    evaluated.restarted()
    await stage.register(*(crowd := [UUID(int=number) for number in range(10, 20)]), CID)
    await evaluated.break_(*crowd)
    await evaluated.decide()
    assert len(await kept.incidents(stage.store)) == 1
    restore = await _spoil_incident(evaluated)
    await stage.see(CID, connected("oura"))
    await stage.see(CID, broken("oura"))
    await evaluated.decide()
    assert [each["incident_id"] for each in evaluated.logs.entries if "incident_id" in each] != []
    await restore()
    assert CID in await evaluated.fired()


async def test_a_fault_that_is_nobodys_sets_nobody_aside(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be settled at all, the job crashes and every entry waits for the next tick."""

    def broken_everywhere(*_: object) -> None:
        raise ZeroDivisionError

    await evaluated.stage.register(ANN, BOB)
    await evaluated.break_(ANN, BOB)
    monkeypatch.setattr("monitor.evaluator.evaluate", broken_everywhere)
    with pytest.raises(ZeroDivisionError):
        await evaluated.decide()
    monkeypatch.undo()
    assert evaluated.said() == []
    await evaluated.decide()
    assert sorted(await evaluated.fired()) == [ANN, BOB]


async def test_what_cannot_be_written_is_set_aside_too(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, deciding and writing are one; nothing of the failed transaction stays."""

    def payload(decision: Decision) -> dict[str, Any]:
        if decision.alert.user.user_id == ANN:
            raise OverflowError
        return whole(decision)

    whole = wording.payload
    await evaluated.stage.register(ANN, BOB)
    await evaluated.break_(ANN, BOB)
    monkeypatch.setattr(notices, "payload", payload)
    await evaluated.decide()
    assert await evaluated.fired() == [BOB]
    assert evaluated.said() == [str(ANN)]


async def _severities(evaluated: Evaluated) -> dict[UUID, str]:
    return {each.user.user_id: each.severity.value for each in await evaluated.stage.open_alerts()}


async def _spoil_alert(evaluated: Evaluated, user: UUID) -> Callable[[], Awaitable[None]]:
    store: Any = evaluated.stage.store
    if not isinstance(store, MemoryStore):
        await evaluated._write(update(alerts).where(_is_of(alerts, user)).values(kind=ODD[0]))
        return evaluated.cure
    tables = store._alerts._tables
    (alert,) = [each for each in tables.open.values() if each.user.user_id == user]
    tables.open[alert.id] = replace(alert, error_type=ODD)

    async def restore() -> None:
        tables.open[alert.id] = alert

    return restore


async def _spoil_incident(evaluated: Evaluated) -> Callable[[], Awaitable[None]]:
    store: Any = evaluated.stage.store
    if not isinstance(store, MemoryStore):
        await evaluated._write(update(incidents).values(cause=ODD[0]))
        return evaluated.cure
    tables = store._alerts._tables
    ((number, view),) = tables.incidents.items()
    tables.incidents[number] = replace(view, incident=replace(view.incident, told_users=ODD, severity=ODD))

    async def restore() -> None:
        tables.incidents[number] = view

    return restore

"""One of two stores that are taken through the same life."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitor.core import judge
from monitor.core.evaluation import evaluate
from monitor.core.model import Connection, Outcome
from monitor.core.policy import Flapping, IncidentRule, Policy, Severity
from monitor.ports import Store, Taken, TransitionFilter
from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, CADENCE, CID, LEASE, OTHER_TARGET, TARGET, digest, judged
from tests.store.telling import all_waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from monitor.core.judge import Claim, Verdict

T = TypeVar("T")
Answer = tuple[str, list[Connection], bool]
"""What a poll comes to; for one that sees something its rows, and whether they are all."""
USERS: Final = (ANN, BOB, CID)
POLICY: Final = Policy(
    severities={"unknown": Severity.NONE},
    confirm_for_error_types={"unspecified": timedelta(seconds=62)},
    resource_lost=Severity.INFO,
    user_gone=Severity.CRITICAL,
    flapping=Flapping(transitions=3, within=timedelta(minutes=15)),
    incident=IncidentRule(
        min_users=2, within=timedelta(minutes=15), hold=timedelta(seconds=40), longest_hold=timedelta(minutes=3)
    ),
)
"""Everything that there is to decide, and often."""


@dataclass(slots=True)
class Side:
    """One store, and every claim and docket that was ever handed out of it."""

    store: Store
    claims: list[Claim] = field(default_factory=list)
    dockets: list[Taken] = field(default_factory=list)

    async def judge(self, claim: Claim, answer: Answer, now: datetime) -> Verdict:
        """Judge an answer by what this store remembers."""
        kind, found, complete = answer
        known = (await self.store.polls.known([claim])).get(claim.key)
        if kind == "seen" and known is not None:
            return judged(claim, known, *found, now=now, complete=complete)
        if kind == "unchanged" and claim.digest == digest(*found):
            return judge.unchanged(claim, CADENCE, now)
        if kind == "missing":
            return judge.missing(claim, known, CADENCE, now)
        if kind == "invalid":
            return judge.invalid(claim, "no", CADENCE, now)
        return judge.unobserved(claim, Outcome.TIMEOUT, CADENCE, now)

    async def take(self, limit: int, now: datetime) -> dict[str, Any] | None:
        """Take a docket where there is one and nobody has it in hand, and return what is in it."""
        taken = await self.store.alerts.take(POLICY, limit=limit, now=now, lease=LEASE)
        if taken is None:
            return None
        self.dockets.append(taken)
        docket = taken.docket
        return {
            "entries": [(each.user, each.transition) for each in docket.entries],
            "standing": sorted(docket.standing, key=lambda each: each.id),
            "history": docket.history,
            "begun": docket.begun,
            "waves": {key: replace(each, usual=0) for key, each in docket.waves.items()},
            "incidents": sorted(docket.incidents, key=lambda each: each.id),
            "members": taken.members.keys(),
            "more": taken.more,
        }

    async def settle(self, number: int, now: datetime) -> tuple[bool, object]:
        """Settle any docket that there ever was, and return whether that was written, and what was decided."""
        taken = self.dockets[number]
        outcome = evaluate(taken.docket, POLICY, now)
        settled = await self.store.alerts.settle(taken, outcome, POLICY, sinks=["log"])
        told = sorted(outcome.decisions, key=lambda each: (each.alert.user.target, each.alert.user.user_id))
        return settled, (told, sorted(outcome.incidents, key=lambda each: each.incident.id))

    async def shows(self, moments: list[datetime]) -> dict[str, Any]:
        """Return all that can be asked of this store, in an order that the ports promise."""
        views = self.store.views
        transitions = await _all(views.transitions(TransitionFilter()))
        notices = await all_waiting(self.store, "log")
        past = {
            (target, user, moment): await views.snapshot_at(target, user, moment)
            for target in (TARGET, OTHER_TARGET)
            for user in USERS
            for moment in moments
        }
        return {
            "members": await _all(self.store.cohort.members(None, include_removed=True)),
            "connections": await _all(views.connections()),
            "transitions": sorted(transitions, key=lambda each: (each.observed_at, each.target, each.user_id)),
            "alerts": await kept.alerts(self.store),
            "incidents": await kept.incidents(self.store),
            "undecided": await kept.undecided(self.store),
            "notices": sorted((dict(each.payload) for each in notices), key=_whose),
            "counts": dict(await views.counts()),
            "freshness": await views.freshness(TARGET, interval=CADENCE.interval, now=moments[-1]),
            "past": past,
        }


def _whose(notice: dict[str, Any]) -> str:
    """Order notices by whom they are about; those of one user, and of one incident, stay in their order."""
    whose: str = notice.get("user_id", notice["alert_id"])
    return whose


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [each async for each in found]

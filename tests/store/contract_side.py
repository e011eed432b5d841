"""One of two stores that are taken through the same life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitor.core import judge
from monitor.core.model import Connection, Outcome
from monitor.ports import Store, TransitionFilter
from tests.store.contract_stage import ANN, BOB, CADENCE, CID, OTHER_TARGET, POLICY, TARGET, digest, judged, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from monitor.core.judge import Claim, Verdict

T = TypeVar("T")
Answer = tuple[str, list[Connection], bool]
"""What a poll comes to; for one that sees something its rows, and whether they are all."""
USERS: Final = (ANN, BOB, CID)


@dataclass(slots=True)
class Side:
    """One store, and every claim that was ever handed out of it."""

    store: Store
    claims: list[Claim] = field(default_factory=list)

    async def judge(self, claim: Claim, answer: Answer, now: datetime) -> Verdict:
        """Judge an answer by what this store remembers."""
        kind, found, complete = answer
        known = (await self.store.polls.known([claim])).get(claim.key)
        if kind == "seen" and known is not None:
            return judged(claim, known, *found, now=now, complete=complete)
        if kind == "unchanged" and claim.digest == digest(*found):
            return judge.unchanged(claim, CADENCE, now)
        if kind == "missing":
            return judge.missing(claim, known, POLICY, CADENCE, now, trusted=True)
        if kind == "invalid":
            return judge.invalid(claim, "no", now)
        return judge.unobserved(claim, Outcome.TIMEOUT, CADENCE, now)

    async def shows(self, moments: list[datetime]) -> dict[str, Any]:
        """Return all that can be asked of this store, in an order that the ports promise."""
        views = self.store.views
        transitions = await _all(views.transitions(TransitionFilter()))
        notices = await waiting(self.store, moments[-1])
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
            "notices": sorted((dict(each.payload) for each in notices), key=lambda each: each["user_id"]),
            "counts": dict(await views.counts()),
            "freshness": await views.freshness(TARGET, interval=CADENCE.interval, now=moments[-1]),
            "past": past,
        }


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [each async for each in found]

"""The queue: who is due, and what came of it."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.core.budget import NEW
from monitor.core.cadence import EPOCH, next_due
from monitor.core.judge import Claim, Known
from monitor.core.model import Outcome, UserState
from monitor.core.tally import user_state
from monitor.core.target_health import RECENT_USERS, RecentPoll, RecentPolls, after_question
from monitor.ports import Assessed, Claimed, Granted
from monitor.store.memory.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.core.budget import Pace
    from monitor.core.judge import Cadence, Verdict
    from monitor.core.target_health import PollAnswer
    from monitor.store.memory.tables import Row, Tables


class MemoryPolls:
    """The queue of one store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(self, target: str, *, limit: int, now: datetime, lease: timedelta, pace: Pace) -> Claimed:
        """Take users that are due, oldest due first, under a lease, and debit the target's budget for them."""
        asks, budget = pace.applied(self._tables.budgets.get(target, NEW)).ask(now)
        due = (each for each in self._free(target, now, lease) if each.next_poll_at <= now)
        claims = self._lend(heapq.nsmallest(budget.allows(limit, now), due, key=_due), now + lease)
        self._tables.budgets[target] = budget.spend(len(claims), now)
        return Claimed(claims=claims, budget=self._tables.budgets[target], asks=asks)

    async def spend(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for polls of users that a person named, as many as it allows."""
        budget = pace.applied(self._tables.budgets.get(target, NEW))
        allowed = budget.allows(wanted, now)
        self._tables.budgets[target] = budget.spend(allowed, now)
        return Granted(requests=allowed, budget=self._tables.budgets[target])

    async def spend_reserved(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for requests beside polls, as many as it allows; a tenth of it is kept for them."""
        allowed, budget = pace.applied(self._tables.budgets.get(target, NEW)).spend_reserved(wanted, now)
        self._tables.budgets[target] = budget
        return Granted(requests=allowed, budget=budget)

    async def assess(
        self, target: str, answers: Sequence[PollAnswer], *, since: datetime, now: datetime, pace: Pace
    ) -> Assessed:
        """Take in what answers, not committed yet, say of their target as a whole."""
        before = pace.applied(self._tables.budgets.get(target, NEW))
        recent = self._recent(target, since).with_answers(answers)
        self._tables.budgets[target] = after = before.after_answers(answers, recent, now)
        return Assessed(before=before, after=after, recent=recent)

    async def note_question(self, target: str, answer: PollAnswer, *, now: datetime, pace: Pace) -> Assessed:
        """Take in what came back when the target was asked about itself."""
        before = pace.applied(self._tables.budgets.get(target, NEW))
        recent = self._recent(target, answer.asked_at)
        answered = any(poll.is_usable for poll in recent.polls)
        health = after_question(before.health, answer, answered_meanwhile=answered, users=recent.users, now=now)
        self._tables.budgets[target] = after = replace(before, health=health)
        return Assessed(before=before, after=after, recent=recent)

    async def claim_users(
        self, target: str, user_ids: Sequence[UUID], *, now: datetime, lease: timedelta
    ) -> list[Claim]:
        """Take these users, whether due or not; those that are not active or under a live lease are left out."""
        wanted = frozenset(user_ids)
        free = (each for each in self._free(target, now, lease) if each.user.user_id in wanted)
        return self._lend(sorted(free, key=_due), now + lease)

    async def known(self, claims: Sequence[Claim]) -> Mapping[int, Known]:
        """Return what is remembered of the claimed users, by claim key; users erased meanwhile are left out."""
        rows = [self._tables.rows[each.key] for each in claims if each.key in self._tables.rows]
        return {each.key: _known(each) for each in rows}

    async def commit(self, verdicts: Sequence[Verdict], *, now: datetime) -> frozenset[int]:
        """Write everything the verdicts say, and return the keys for which it was written."""
        batch = Batch()
        for each in verdicts:
            row = self._tables.rows.get(each.claim.key)
            if row is not None and row.lease == each.claim.lease and not row.free(now):
                batch.add(row, each)
        return batch.apply(self._tables)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give back users that were claimed and not asked; they are due as before."""
        rows = (self._tables.rows.get(each.key) for each in claims)
        ours = [row for row, each in zip(rows, claims, strict=True) if row is not None and row.lease == each.lease]
        self._tables.put(replace(each, lease=None, leased_until=None) for each in ours)

    async def recover(self) -> int:
        """End the leases that an earlier user of this store left behind; return how many."""
        left = [each for each in self._tables.rows.values() if each.lease is not None]
        self._tables.put(replace(each, lease=None, leased_until=None) for each in left)
        return len(left)

    async def bring_forward(self, target: str, *, cadence: Cadence, now: datetime) -> int:
        """Give active users that are due later than any rule would have them due their place in the interval."""
        late = [
            row
            for row in self._tables.of_target(target)
            if row.pollable
            and row.next_poll_at > now + cadence.longest_wait(row.presence, failed=row.failed_at is not None)
        ]
        self._tables.put(
            replace(row, next_poll_at=next_due(row.user.user_id, cadence.of(row.presence), now)) for row in late
        )
        return len(late)

    def _recent(self, target: str, since: datetime) -> RecentPolls:
        active = [row for row in self._tables.of_target(target) if user_state(row.intent, row.presence) == "active"]
        newest = sorted(map(_recent_poll, active), key=lambda poll: (poll.at, poll.key), reverse=True)
        return RecentPolls(polls=[poll for poll in newest if poll.at >= since][:RECENT_USERS], users=len(active))

    def _free(self, target: str, now: datetime, lease: timedelta) -> Iterable[Row]:
        return (each for each in self._tables.of_target(target) if each.pollable and each.is_unleased(now, lease))

    def _lend(self, rows: Iterable[Row], until: datetime) -> list[Claim]:
        lent = [replace(each, lease=self._tables.number(), leased_until=until) for each in rows]
        self._tables.put(lent)
        return [_claim(each) for each in lent]


def _due(row: Row) -> tuple[datetime, int]:
    return row.next_poll_at, row.key


def _recent_poll(row: Row) -> RecentPoll:
    if row.failed_at is not None and row.outcome is not None:
        return RecentPoll(key=row.key, at=row.failed_at, outcome=Outcome(row.outcome))
    return RecentPoll(key=row.key, at=row.observed_at or EPOCH, missing=frozenset(row.doubts.connections))


def _claim(row: Row) -> Claim:
    return Claim(
        key=row.key,
        user=row.user,
        lease=row.lease or 0,
        due_at=row.next_poll_at,
        observed_at=row.observed_at,
        digest=row.digest,
        failures=row.failures,
        presence=row.presence,
        missing_since=row.missing_since,
        outcome=row.outcome,
        doubts=row.doubts,
        unlisted_at=row.unlisted_at,
        reason=row.reason,
    )


def _known(row: Row) -> Known:
    state = UserState(
        user=row.user,
        connections={name: each.connection for name, each in row.connections.items()},
        since={name: each.since for name, each in row.connections.items()},
        observed_at=row.observed_at,
        presence=row.presence,
        missing_since=row.missing_since,
    )
    return Known(state=state)

"""The queue: who is due, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, select, text, update

from monitor.core.budget import NEW
from monitor.core.cadence import next_due
from monitor.core.judge import Claim, Known
from monitor.core.model import Presence, User, UserState
from monitor.core.target_health import after_question
from monitor.ports import Assessed, Claimed, Granted
from monitor.store import budgets, recent_polls, rows
from monitor.store.batch import Batch
from monitor.store.conflicts import retry_conflicts
from monitor.store.due import is_unleased
from monitor.store.leases import FREE, lent
from monitor.store.tables import CLAIMABLE, connections, jobs, outbox, targets, users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.budget import Pace
    from monitor.core.judge import Cadence, Verdict
    from monitor.core.target_health import PollAnswer
    from monitor.store.counting import TargetIds
    from monitor.store.engine import Database
    from monitor.store.rows import Record

PAGE: Final = 1000
CLAIMED: Final = (
    users.c.id,
    users.c.user_id,
    users.c.lease,
    users.c.next_poll_at,
    users.c.observed_at,
    users.c.digest,
    users.c.failures,
    users.c.presence,
    users.c.missing_since,
    users.c.outcome,
    users.c.doubts,
    users.c.unlisted_at,
    users.c.reason,
)


class SqlPolls:
    """The queue in SQL."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._target_ids = target_ids

    async def claim(self, target: str, *, limit: int, now: datetime, lease: timedelta, pace: Pace) -> Claimed:
        """Take users that are due, oldest due first, under a lease, and debit the target's budget for them."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            if target_id is None:
                return Claimed(claims=[], budget=pace.applied(NEW))
            before = await budgets.locked(connection, target_id)
            asks, budget = pace.applied(before).ask(now)
            wanted = and_(users.c.target_id == target_id, users.c.next_poll_at <= now)
            allowed = budget.allows(limit, now)
            claims = await self._lend(connection, target, wanted, limit=allowed, now=now, lease=lease)
            budget = budget.spend(len(claims), now)
            if claims or pace.lessons or budget.health != before.health:
                await budgets.write(connection, target_id, budget)
        return Claimed(claims=claims, budget=budget, asks=asks)

    async def spend(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for polls of users that a person named, as many as it allows."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            budget = pace.applied(await budgets.locked(connection, target_id))
            allowed = budget.allows(wanted, now)
            if allowed or pace.lessons:
                budget = budget.spend(allowed, now)
                await budgets.write(connection, target_id, budget)
        return Granted(requests=allowed, budget=budget)

    async def spend_reserved(self, target: str, wanted: int, *, now: datetime, pace: Pace) -> Granted:
        """Debit the target's budget for requests beside polls, as many as it allows; a tenth of it is kept for them."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            before = await budgets.locked(connection, target_id)
            allowed, budget = pace.applied(before).spend_reserved(wanted, now)
            if budget != before:
                await budgets.write(connection, target_id, budget)
        return Granted(requests=allowed, budget=budget)

    @retry_conflicts
    async def assess(
        self, target: str, answers: Sequence[PollAnswer], *, since: datetime, now: datetime, pace: Pace
    ) -> Assessed:
        """Take in what answers, not committed yet, say of their target as a whole."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            stored = await budgets.locked(connection, target_id)
            before = pace.applied(stored)
            recent = (await recent_polls.read(connection, target_id, since)).with_answers(answers)
            after = before.after_answers(answers, recent, now)
            if after != before or pace.lessons:
                await budgets.write(connection, target_id, after)
        return Assessed(before=before, after=after, recent=recent)

    @retry_conflicts
    async def note_question(self, target: str, answer: PollAnswer, *, now: datetime, pace: Pace) -> Assessed:
        """Take in what came back when the target was asked about itself."""
        async with self._database.writing() as connection:
            target_id = await self._target_ids.of(connection, target)
            before = pace.applied(await budgets.locked(connection, target_id))
            recent = await recent_polls.read(connection, target_id, answer.asked_at)
            answered = any(poll.is_usable for poll in recent.polls)
            health = after_question(before.health, answer, answered_meanwhile=answered, users=recent.users, now=now)
            after = replace(before, health=health)
            await budgets.write(connection, target_id, after)
        return Assessed(before=before, after=after, recent=recent)

    @retry_conflicts
    async def claim_users(
        self, target: str, user_ids: Sequence[UUID], *, now: datetime, lease: timedelta
    ) -> list[Claim]:
        """Take these users, whether due or not; those that are not active or under a live lease are left out."""
        named = rows.among(users.c.user_id, user_ids, self._database.dialect)
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            wanted = and_(users.c.target_id == target_id, named)
            return await self._lend(connection, target, wanted, limit=len(user_ids), now=now, lease=lease)

    async def known(self, claims: Sequence[Claim]) -> Mapping[int, Known]:
        """Return what is remembered of the claimed users, by claim key; users erased meanwhile are left out."""
        keys = [each.key for each in claims]
        async with self._database.reading() as connection:
            states = await self._rows(connection, _STATES.where(self._among(users.c.id, keys)))
            held = await self._rows(connection, select(connections).where(self._among(connections.c.member, keys)))
        theirs = _by_member(held)
        return {state.id: Known(state=_state(state, theirs[state.id])) for state in states}

    @retry_conflicts
    async def commit(self, verdicts: Sequence[Verdict], *, now: datetime) -> frozenset[int]:
        """Write everything the verdicts say in one transaction, and return the keys for which it was written."""
        async with self._database.writing() as connection:
            batch = Batch(connection, self._target_ids)
            return await batch.write(verdicts, now)

    @retry_conflicts
    async def release(self, claims: Sequence[Claim]) -> None:
        """Give back users that were claimed and not asked; they are due as before."""
        ours = self._among(users.c.lease, list({each.lease for each in claims}))
        theirs = self._among(users.c.id, [each.key for each in claims])
        async with self._database.writing() as connection:
            # In the order of the ids, as every other statement that locks several users.
            held = select(users.c.id).where(theirs, ours).order_by(users.c.id).with_for_update()
            freed = update(users).where(rows.once(users.c.id, held, connection.dialect))
            await connection.execute(freed.values(FREE))

    async def recover(self) -> int:
        """End the leases that a killed process left behind, where this process is alone (SQLite)."""
        if not self._database.is_sqlite:
            return 0
        async with self._database.writing() as connection:
            users_left, *_ = [
                (await connection.execute(update(each).where(each.c.lease.is_not(None)).values(FREE))).rowcount
                for each in (users, outbox, jobs)
            ]
        return users_left

    async def bring_forward(self, target: str, *, cadence: Cadence, now: datetime) -> int:
        """Give active users that are due later than any rule would have them due their place in the interval."""
        moved = 0
        for presence in Presence:
            for failed in (False, True):
                while page := await self._bring_page_forward(target, presence, cadence, now, failed=failed):
                    moved += page
        return moved

    @retry_conflicts
    async def _bring_page_forward(
        self, target: str, presence: Presence, cadence: Cadence, now: datetime, *, failed: bool
    ) -> int:
        latest = now + cadence.longest_wait(presence, failed=failed)
        ended = users.c.failed_at.is_not(None) if failed else users.c.failed_at.is_(None)
        async with self._database.writing() as connection:
            target_id = await self._target_ids.found(connection, target)
            ours = and_(users.c.target_id == target_id, CLAIMABLE, users.c.presence == presence.value, ended)
            late = (
                select(users.c.id, users.c.user_id)
                .where(ours, users.c.next_poll_at > latest)
                .order_by(users.c.id)
                .limit(PAGE)
                .with_for_update(skip_locked=True)
            )
            found = await self._rows(connection, late)
            places = [next_due(each.user_id, cadence.of(presence), now) for each in found]
            await self._move(connection, [each.id for each in found], places)
            return len(found)

    async def _move(self, connection: AsyncConnection, keys: list[int], places: list[datetime]) -> None:
        if not keys:
            return
        if self._database.is_sqlite:
            moved = [{"key": key, "place": place} for key, place in zip(keys, places, strict=True)]
            await connection.execute(_MOVE, moved)
        else:
            await connection.execute(_MOVE_ALL, {"keys": keys, "places": places})

    async def _lend(
        self,
        connection: AsyncConnection,
        target: str,
        wanted: ColumnElement[bool],
        *,
        limit: int,
        now: datetime,
        lease: timedelta,
    ) -> list[Claim]:
        if not limit:
            return []
        due = (
            select(users.c.id)
            .where(wanted, CLAIMABLE, is_unleased(users, now, lease))
            .order_by(users.c.next_poll_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = update(users).where(rows.once(users.c.id, due, connection.dialect)).values(lent(now, lease))
        found = await self._rows(connection, taken.returning(*CLAIMED))
        return [_claim(target, each) for each in sorted(found, key=lambda row: (row.next_poll_at, row.id))]

    def _among(self, column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
        return rows.among(column, values, self._database.dialect)

    @staticmethod
    async def _rows(connection: AsyncConnection, statement: Any) -> Sequence[Record]:
        return (await connection.execute(statement)).all()


_MOVE: Final = update(users).where(users.c.id == bindparam("key")).values(next_poll_at=bindparam("place"))
_MOVE_ALL: Final = text(
    """
    UPDATE users SET next_poll_at = v.place
    FROM unnest(CAST(:keys AS bigint[]), CAST(:places AS timestamptz[])) AS v (key, place)
    WHERE users.id = v.key
    """
)
_STATES: Final = select(
    users.c.id,
    users.c.user_id,
    users.c.observed_at,
    users.c.presence,
    users.c.missing_since,
    targets.c.name.label("target"),
).join(targets)


def _claim(target: str, row: Record) -> Claim:
    return Claim(
        key=row.id,
        user=User(target=target, user_id=row.user_id),
        lease=row.lease,
        due_at=row.next_poll_at,
        observed_at=row.observed_at,
        digest=row.digest,
        failures=row.failures,
        presence=Presence(row.presence),
        missing_since=row.missing_since,
        outcome=row.outcome,
        doubts=rows.doubts(row),
        unlisted_at=row.unlisted_at,
        reason=row.reason,
    )


def _by_member(found: Sequence[Record]) -> defaultdict[int, list[Record]]:
    members: defaultdict[int, list[Record]] = defaultdict(list)
    for each in found:
        members[each.member].append(each)
    return members


def _state(state: Record, held: Sequence[Record]) -> UserState:
    return UserState(
        user=User(target=state.target, user_id=state.user_id),
        connections={each.provider: rows.connection(each) for each in held},
        since={each.provider: each.since for each in held},
        observed_at=state.observed_at,
        presence=Presence(state.presence),
        missing_since=state.missing_since,
    )

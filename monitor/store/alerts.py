"""The decisions on alerts in SQL: a docket under one lease for all replicas, and what is decided in one transaction.

1. A tick that finds nothing to decide on writes nothing.
2. Whoever gets the lease reads the docket; nobody else writes to alerts and incidents meanwhile.
3. Where reading fails, the lease is given back. What cannot be evaluated is set aside without being read.
4. Settling gives the lease back first: where that fails, somebody else has decided, and nothing is written.
5. Users are held against erasure, then alerts are written (those that end first: a slot has one open alert), incidents
   with their members, notices for the sinks, and last the counts.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, delete, func, insert, or_, select, update

from monitor.core import tally
from monitor.core.alerting import OPEN, AlertState
from monitor.core.model import UNSPECIFIED, User
from monitor.core.policy import Severity
from monitor.core.policy_change import severity_counts
from monitor.core.tally import Count, Key
from monitor.core.wording import JOINED
from monitor.errors import StoreUnavailable
from monitor.ports import EVERYTHING, SetAside
from monitor.store import docket, evaluation_queue, notices, rows
from monitor.store.conflicts import retry_conflicts
from monitor.store.counting import move, upsert
from monitor.store.due import is_unleased
from monitor.store.leases import FREE, lent
from monitor.store.tables import RAISED, alerts, incidents, jobs, targets, undecided, users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, TextClause
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.alerting import Decision
    from monitor.core.evaluation import Outcome
    from monitor.core.incidents import Incident, IncidentDecision
    from monitor.core.policy import Policy
    from monitor.ports import EvaluationScope, Taken, WaitingKeys
    from monitor.ports.alerts import Registration
    from monitor.store.counting import TargetIds
    from monitor.store.engine import Database

JOB: Final = "evaluate"


class SqlAlerts:
    """The decisions of one database."""

    def __init__(self, database: Database, target_ids: TargetIds) -> None:
        self._database = database
        self._target_ids = target_ids

    async def take(
        self,
        policy: Policy,
        *,
        limit: int,
        now: datetime,
        lease: timedelta,
        scope: EvaluationScope = EVERYTHING,
    ) -> Taken | None:
        """Take what is to be decided at ``now``, None where there is nothing or another replica has it in hand."""
        if scope.is_everything:
            async with self._database.reading() as connection:
                if not (await connection.execute(evaluation_queue.anything(policy, now, scope))).scalar():
                    return None
        held = await self._lease(now, lease)
        if held is None:
            return None
        async with self._reading_under(held) as connection:
            return await docket.read(connection, policy, held, limit=limit, now=now, scope=scope)

    async def waiting(self, policy: Policy, *, limit: int, now: datetime, scope: EvaluationScope) -> WaitingKeys:
        """Return the users and incidents that :meth:`take` would read."""
        async with self._database.reading() as connection:
            return await evaluation_queue.waiting(connection, policy, limit=limit, now=now, scope=scope)

    async def open_alert_keys(self, *, limit: int, after: int) -> WaitingKeys:
        """Return the next users with open alerts, and with the first page the open incidents."""
        async with self._database.reading() as connection:
            return await evaluation_queue.open_alert_keys(connection, limit=limit, after=after)

    async def claim_open_alerts(
        self, policy: Policy, *, scope: EvaluationScope, now: datetime, lease: timedelta
    ) -> Taken | None:
        """Take the open alerts and incidents in ``scope``; see the port."""
        held = await self._lease(now, lease)
        if held is None:
            return None
        async with self._reading_under(held) as connection:
            return await docket.read_open_alerts(connection, policy, held, now=now, scope=scope)

    @retry_conflicts
    async def settle(self, taken: Taken, outcome: Outcome, policy: Policy, *, sinks: Collection[str]) -> bool:
        """Write everything that was decided, in one transaction with what it was decided on; the lease ends."""
        async with self._database.writing() as connection:
            ended = update(jobs).where(jobs.c.name == JOB, jobs.c.lease == taken.lease).values(FREE)
            if not (await connection.execute(ended)).rowcount:
                return False
            await _Settlement(connection, self._target_ids, policy).write(taken, outcome, sinks)
        return True

    @retry_conflicts
    async def release(self, taken: Taken) -> None:
        """Give back what was taken and could not be settled."""
        await self._end_lease(taken.lease)

    async def set_aside(self, member: int, *, last_entry: int, reason: str, now: datetime) -> SetAside | None:
        """Leave a user's entries up to ``last_entry`` out of later evaluations and keep them; None: unknown user."""
        theirs = [undecided.c.member == member, undecided.c.id <= last_entry, undecided.c.set_aside_at.is_(None)]
        query = select(users.c.user_id, targets.c.name).select_from(users.join(targets)).where(users.c.id == member)
        async with self._database.writing() as connection:
            done = await connection.execute(update(undecided).where(*theirs).values(set_aside_at=now, reason=reason))
            row = (await connection.execute(query)).one_or_none()
        return row and SetAside(user=User(target=row.name, user_id=row.user_id), entries=done.rowcount)

    async def retry_set_aside(self) -> int:
        """Put entries that were set aside back into the queue and return how many; see the port."""
        is_set_aside = undecided.c.set_aside_at.is_not(None)
        async with self._database.writing() as connection:
            await connection.execute(delete(undecided).where(is_set_aside, evaluation_queue.IS_SUPERSEDED))
            put_back = update(undecided).where(is_set_aside).values(set_aside_at=None, reason=None)
            return (await connection.execute(put_back)).rowcount

    @retry_conflicts
    async def _lease(self, now: datetime, lease: timedelta) -> int | None:
        new = upsert(jobs, self._database.dialect).values(name=JOB).on_conflict_do_nothing()
        taken = update(jobs).where(jobs.c.name == JOB, is_unleased(jobs, now, lease)).values(lent(now, lease))
        async with self._database.writing() as connection:
            await connection.execute(new)
            held: int | None = (await connection.execute(taken.returning(jobs.c.lease))).scalar()
            return held

    @asynccontextmanager
    async def _reading_under(self, lease: int) -> AsyncIterator[AsyncConnection]:
        """Read under a lease, and give it back where reading fails."""
        try:
            async with self._database.reading() as connection:
                yield connection
        except Exception:
            with suppress(StoreUnavailable):  # the lease passes by itself then
                await self._end_lease(lease)
            raise

    async def _end_lease(self, lease: int) -> None:
        async with self._database.writing() as connection:
            await connection.execute(update(jobs).where(jobs.c.name == JOB, jobs.c.lease == lease).values(FREE))


class _Settlement:
    """What one settling writes."""

    def __init__(self, connection: AsyncConnection, target_ids: TargetIds, policy: Policy) -> None:
        self._connection = connection
        self._target_ids = target_ids
        self._policy = policy
        self._counts: Counter[Key] = Counter()

    async def write(self, taken: Taken, outcome: Outcome, sinks: Collection[str]) -> None:
        target_ids = await self._target_ids.refresh(self._connection)
        await self._decided([each.number for each in taken.docket.entries])
        keys = await self._held({each.alert.user: taken.members[each.alert.user] for each in outcome.decisions})
        decisions = [each for each in outcome.decisions if each.alert.user in keys]
        await self._write_alerts(decisions, keys, target_ids)
        await self._write_incidents(outcome.incidents, target_ids)
        told = [notices.of_incident(each) for each in outcome.incidents if each.told]
        told += [notices.of_alert(keys[each.alert.user], each) for each in decisions if each.told]
        await notices.enqueue_decided(self._connection, told, sinks)
        self._counts.update(tally.of_decisions(decisions))
        self._counts.update(severity_counts(decisions))
        self._counts.update(tally.of_incidents(outcome.incidents))
        await move(self._connection, self._counts, target_ids)

    async def _decided(self, numbers: Sequence[int]) -> None:
        if numbers:
            ours = rows.among(undecided.c.id, numbers, self._connection.dialect)
            await self._connection.execute(delete(undecided).where(ours))

    async def _held(self, concerned: Mapping[User, Registration]) -> dict[User, int]:
        """Return the keys of the users that there still are, who cannot be erased before the transaction ends."""
        if not concerned:
            return {}
        keys = [key for key, _ in concerned.values()]
        asked = (
            select(users.c.id, users.c.user_id, users.c.registered_at)
            .where(rows.among(users.c.id, keys, self._connection.dialect))
            .order_by(users.c.id)
            .with_for_update(read=True, key_share=True)
        )
        found = {(row.user_id, row.id, row.registered_at) for row in await self._connection.execute(asked)}
        return {each: theirs[0] for each, theirs in concerned.items() if (each.user_id, *theirs) in found}

    async def _write_alerts(
        self, decisions: Sequence[Decision], keys: Mapping[User, int], target_ids: Mapping[str, int]
    ) -> None:
        written: dict[Any, dict[str, Any]] = {}
        for each in decisions:
            row = rows.alert_row(keys[each.alert.user], target_ids[each.alert.user.target], each)
            before = written.pop(each.alert.id, {})
            kept = {name: before.get(name) for name in ("fired_reason",) if row[name] is None}
            written[each.alert.id] = row | kept
        for is_open in (False, True):
            part = [each for each in written.values() if (each["state"] in OPEN) is is_open]
            if part:
                await self._connection.execute(_upserted(self._connection), part)

    async def _write_incidents(self, decisions: Sequence[IncidentDecision], target_ids: Mapping[str, int]) -> None:
        for each in decisions:
            row = rows.incident_row(target_ids[each.incident.key.target], each)
            if each.was is None:
                await self._connection.execute(insert(incidents).values(row))
                await self._attach(each.incident, row["target_id"])
            else:
                await self._connection.execute(update(incidents).where(incidents.c.id == each.incident.id).values(row))

    async def _attach(self, incident: Incident, target_id: int) -> None:
        """Make members of the alerts that came before the incident: those that fired get quiet, others join now."""
        like = select(alerts.c.id, alerts.c.state, alerts.c.severity).where(*_like(incident, target_id, self._policy))
        # Locked, since others are not held: one that is erased meanwhile must not be counted.
        members = (await self._connection.execute(like.with_for_update())).all()
        if not members:
            return
        for each in members:
            if each.state == AlertState.FIRING:
                key = Key(incident.key.target, Count.ALERTS, incident.key.provider)
                self._counts[Key(key.target, key.count, key.a, each.severity)] -= 1
                self._counts[Key(key.target, key.count, key.a, Severity.INFO.value)] += 1
        due = case((alerts.c.state == AlertState.PENDING.value, incident.opened_at), else_=alerts.c.due_at)
        theirs = rows.among(alerts.c.id, [each.id for each in members], self._connection.dialect)
        joined = {"incident_id": incident.id, "severity": Severity.INFO.value, "due_at": due, "reason": JOINED}
        await self._connection.execute(update(alerts).where(theirs).values(joined))


def _like(incident: Incident, target_id: int, policy: Policy) -> list[ColumnElement[bool] | TextClause]:
    within = policy.incident.within if policy.incident else timedelta()
    named = alerts.c.error_type == incident.key.error_type
    if incident.key.error_type == UNSPECIFIED:
        named = or_(named, alerts.c.error_type.is_(None))
    return [
        RAISED,
        alerts.c.confirmed_at > incident.opened_at - within,
        alerts.c.confirmed_at <= incident.opened_at,
        alerts.c.target_id == target_id,
        alerts.c.provider == incident.key.provider,
        named,
        alerts.c.state.in_([each.value for each in OPEN]),
    ]


CHANGING: Final = (
    "severity",
    "state",
    "status",
    "error_type",
    "error_message",
    "errored_at",
    "due_at",
    "fired_at",
    "incident_id",
    "resolved_at",
    "resolved_by",
    "reason",
    "updates",
)


def _upserted(connection: AsyncConnection) -> Any:
    new = upsert(alerts, connection.dialect)
    changed = {name: new.excluded[name] for name in CHANGING}
    changed["fired_reason"] = func.coalesce(new.excluded.fired_reason, alerts.c.fired_reason)
    return new.on_conflict_do_update(index_elements=[alerts.c.id], set_=changed)

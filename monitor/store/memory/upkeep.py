"""What is done now and then for all: turns at recurring jobs, and what these write."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.clock_steps import is_due
from monitor.core.diff import supersedes
from monitor.core.tally import Count, Key
from monitor.ports import Done, Pruned
from monitor.store.recount import compared

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime, timedelta

    from monitor.core.model import Transition
    from monitor.ports import Cursor, Recounted
    from monitor.store.memory.tables import Tables


@dataclass(slots=True)
class _Job:
    lease: int | None = None
    leased_until: datetime | None = None
    ran_at: datetime | None = None


class MemoryUpkeep:
    """The upkeep of one store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._jobs: dict[str, _Job] = {}

    async def begin(self, job: str, *, every: timedelta, now: datetime, lease: timedelta) -> int | None:
        """Take a job that nobody has in hand and that did not run for ``every``; return the lease, None without."""
        row = self._jobs.setdefault(job, _Job())
        free = row.leased_until is None or is_due(row.leased_until, now, lease)
        if not free or (row.ran_at is not None and not is_due(row.ran_at, now - every, every)):
            return None
        row.lease, row.leased_until = self._tables.number(), now + lease
        return row.lease

    async def renew(self, job: str, held: int, *, now: datetime, lease: timedelta) -> bool:
        """Hold on to a job for longer; False where somebody else has taken it over."""
        row = self._jobs[job]
        if row.lease != held:
            return False
        row.leased_until = now + lease
        return True

    async def end(self, job: str, held: int, *, ran_at: datetime | None) -> None:
        """Give a job back; ``ran_at`` is when it ran, None where it did not and is due as before."""
        row = self._jobs[job]
        if row.lease == held:
            self._jobs[job] = _Job(ran_at=ran_at or row.ran_at)

    async def keep_reported(self, target: str, errored: int | None, *, now: datetime) -> None:
        """Keep the vendor's own total of errored connections, None where it could not be had."""
        self._tables.reported[target] = (errored, now)

    async def prune_snapshots(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` snapshots that ended before this time, the current ones never; return how many."""
        rows = self._tables.rows.values()
        past = [(each.last_observed_at, row.key, each) for row in rows for each in row.snapshots[:-1]]
        doomed = sorted((each for each in past if each[0] < before), key=lambda each: each[:2])[:limit]
        for _, key, snapshot in doomed:
            row = self._tables.rows[key]
            kept = tuple(each for each in row.snapshots if each is not snapshot)
            self._tables.put([replace(row, snapshots=kept)])
        return len(doomed)

    async def prune_alerts(self, before: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` alerts, and as many incidents and notices, of before this time; return how many."""
        filed = self._tables.alerts
        ended = [each_id for each_id, each in filed.items() if _past(each.view.resolved_at, before)][:limit]
        for each_id in ended:
            del filed[each_id]
        open_members = {each.view.alert.incident_id for each in filed.values() if each.view.alert.is_open}
        incidents = self._tables.incidents
        over = (each_id for each_id, each in incidents.items() if _past(each.incident.resolved_at, before))
        gone = [each_id for each_id in over if each_id not in open_members][:limit]
        for each_id in gone:
            del incidents[each_id]
        notices, kept = self._tables.notices, self._tables.firing_ids()
        done = ((key, each) for key, each in notices.items() if _past(each.written_at, before))
        old = [key for key, each in done if each.state != AlertState.FIRING or each.alert_id not in kept][:limit]
        for key in old:
            del notices[key]
        return len(ended) + len(gone) + len(old)

    async def give_up_unconfigured(
        self, sinks: Collection[str], *, before: datetime, now: datetime, limit: int
    ) -> Mapping[str, int]:
        """Give up up to ``limit`` notices from before this time that wait for none of ``sinks``; count them by sink."""
        waiting = (each for each in self._tables.notices.values() if each.written_at is None and each.sink not in sinks)
        old = [each for each in waiting if each.created_at < before and each.is_free(now)][:limit]
        for each in old:
            each.outcome, each.written_at = Done.GAVE_UP.value, now
            each.error = each.lease = each.leased_until = None
        return Counter(each.sink for each in old)

    async def prune_counts(self) -> int:
        """Delete counts at zero that nothing needs, and return how many."""
        return self._tables.counts.prune()

    async def count_differences(self) -> Mapping[Key, Recounted]:
        """Count anew, and return where the counts differ from that."""
        tables = self._tables
        counted: Counter[Key] = Counter()
        for row in tables.rows.values():
            counted.update(row.counts())
        counted.update(tally.of_alerts(each for each in tables.open.values() if each.state is AlertState.FIRING))
        for incident in tables.open_incidents:
            target, provider, error_type = tables.incidents[incident].incident.key
            counted[Key(target, Count.INCIDENTS, provider, error_type)] += 1
        counted.update(tally.of_transitions(each for _, each in tables.transitions.values()))
        return compared(tables.counts, counted)

    async def repair_counts(self, differences: Mapping[Key, Recounted]) -> None:
        """Move the counts by these differences."""
        for key, each in differences.items():
            self._tables.counts[key] += each.counted - each.kept

    async def prune_transitions(self, before: datetime, *, limit: int, cursor: Cursor | None) -> Pruned:
        """Look at the next ``limit`` transitions before this time, and delete those that are not the last word."""
        walk = [
            ((each.observed_at, key, self._tables.ordinals[each.id]), key, each)
            for key, each in self._tables.transitions.values()
        ]
        ahead = (each for each in walk if each[2].observed_at < before and (cursor is None or each[0] > cursor))
        page = sorted(ahead, key=lambda each: each[0])[:limit]
        waiting = self._tables.waiting()
        old = [
            each.id
            for place, key, each in page
            if each.id not in waiting and self._is_superseded(place, key, each, walk)
        ]
        for each_id in old:
            self._tables.forget(each_id)
        return Pruned(deleted=len(old), cursor=page[-1][0] if len(page) == limit else None)

    async def purge_log(self) -> bool:
        """There is no log: what is deleted is gone."""
        return True

    @staticmethod
    def _is_superseded(place: Cursor, key: int, each: Transition, walk: list[tuple[Cursor, int, Transition]]) -> bool:
        return any(key == owner and other > place and supersedes(later, each) for other, owner, later in walk)


def _past(moment: datetime | None, before: datetime) -> bool:
    return moment is not None and moment < before

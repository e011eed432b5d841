"""What was decided and is to be told: a queue for each sink."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from monitor.core.alerting import AlertState
from monitor.events import INCIDENT_ALERT
from monitor.ports import Firing, Notice, Standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.ports import Done, Place
    from monitor.store.memory.tables import Tables, Waiting


class MemoryOutbox:
    """The outbox of one store, in the order of decision."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(
        self, sink: str, *, limit: int, now: datetime, lease: timedelta, incidents_only: bool = False
    ) -> list[Notice]:
        """Take notices that wait for a sink and are due, oldest first, under a lease; see the port."""
        due = [(number, each) for number, each in self._first_of_each_alert(sink) if each.due(now, lease)]
        wanted = [item for item in due if not incidents_only or item[1].event == INCIDENT_ALERT]
        tried = sorted((item for item in wanted if item[1].next_attempt_at), key=_due)
        again = tried[: (limit + 1) // 2]
        new = (item for item in wanted if item[1].next_attempt_at is None)
        found = sorted((*again, *islice(new, limit - len(again))), key=lambda item: item[0])
        return [self._lent(number, each, now, lease) for number, each in found]

    async def settle(self, notices: Sequence[Notice], done: Done, *, now: datetime) -> None:
        """Be done with notices that are still held under their lease; others stay as they are."""
        for row in self._in_hand(notices):
            row.written_at, row.outcome, row.error = now, done, None

    async def retry(self, notices: Sequence[Notice], error: str | None, *, at: datetime) -> None:
        """Give back notices that were tried in vain: they are due again ``at``, and one attempt more was made."""
        for row in self._in_hand(notices):
            row.attempts += 1
            row.error, row.next_attempt_at = error, at
            for _, later in self._waiting(row.sink):
                if later.alert_id == row.alert_id and later.lease is None:
                    later.next_attempt_at = at

    async def release(self, notices: Sequence[Notice]) -> None:
        """Give back notices that were not tried; they wait as before."""
        for _ in self._in_hand(notices):
            pass

    async def undelivered(self) -> Mapping[str, int]:
        """Return how many notices wait, by sink."""
        counts: dict[str, int] = {}
        for each in self._tables.notices.values():
            counts[each.sink] = counts.get(each.sink, 0) + (each.written_at is None)
        return counts

    async def sent_since(self, sink: str, since: datetime) -> int:
        """Return how many notices a sink was told one by one in the minute from ``since`` on."""
        told = (each for each in self._tables.notices.values() if each.sink == sink and each.outcome == "delivered")
        until = since + timedelta(minutes=1)
        return sum(1 for each in told if each.written_at is not None and since <= each.written_at <= until)

    async def firing(self, sink: str, *, limit: int, after: Place | None = None) -> Firing:
        """Return the next ``limit`` alerts that fire now and that a sink is done with being told of."""
        places = sorted(item for item in self._tables.firing() if after is None or item[0] > after)
        page = places[:limit]
        incidents = self._tables.open_incidents if after is None else ()
        told = self._told(sink, {*incidents, *(alert_id for _, alert_id in page)}, AlertState.FIRING)
        alone = {each.id: each.severity for each in self._tables.open.values() if each.incident_id is None}
        return Firing(
            alerts=[
                Standing(
                    event=each.event, alert_id=each.alert_id, payload=each.payload, severity=alone.get(each.alert_id)
                )
                for each in told.values()
            ],
            after=page[-1][0] if len(page) == limit else None,
        )

    async def told(self, sink: str, alert_ids: Collection[UUID], state: AlertState) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what a sink was last told, or given up to be told, of these alerts in this state, where it was."""
        return {key: each.payload for key, each in self._told(sink, alert_ids, state).items()}

    def _told(self, sink: str, alert_ids: Collection[UUID], state: AlertState) -> dict[UUID, Waiting]:
        done = (each for each in self._tables.notices.values() if each.sink == sink and each.written_at is not None)
        return {each.alert_id: each for each in done if each.alert_id in alert_ids and each.state == state}

    def _waiting(self, sink: str) -> Iterator[tuple[int, Waiting]]:
        return (item for item in self._tables.notices.items() if item[1].sink == sink and item[1].written_at is None)

    def _first_of_each_alert(self, sink: str) -> list[tuple[int, Waiting]]:
        first: dict[UUID, tuple[int, Waiting]] = {}
        for item in self._waiting(sink):
            first.setdefault(item[1].alert_id, item)
        return list(first.values())

    def _in_hand(self, notices: Sequence[Notice]) -> Iterator[Waiting]:
        """Yield the rows that these leases still hold, freed."""
        for each in notices:
            row = self._tables.notices.get(each.id)
            if row is not None and row.lease == each.lease and row.written_at is None:
                row.lease = row.leased_until = None
                yield row

    def _lent(self, number: int, each: Waiting, now: datetime, lease: timedelta) -> Notice:
        each.lease, each.leased_until, each.claimed_at = self._tables.number(), now + lease, now
        return Notice(
            id=number,
            lease=each.lease,
            event=each.event,
            alert_id=each.alert_id,
            state=each.state,
            updates=each.updates,
            payload=each.payload,
            created_at=each.created_at,
            attempts=each.attempts,
        )


def _due(item: tuple[int, Waiting]) -> tuple[Any, int]:
    return item[1].next_attempt_at, item[0]

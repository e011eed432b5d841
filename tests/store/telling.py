"""The words that tests of the outbox are told in: notices, and alerts that fire, put into any store as they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import insert, select, update

from monitor.core.alerting import AlertState
from monitor.core.policy import Severity
from monitor.events import CONNECTION_ALERT, INCIDENT_ALERT
from monitor.ports import AlertView, IncidentView, ListedUser, Notice
from monitor.store import rows
from monitor.store.memory import MemoryStore
from monitor.store.notices import enqueue
from monitor.store.tables import alerts, incidents, outbox, targets, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.ports import Store

TARGET: Final = "acme_us"
START: Final = datetime(2025, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
LEASE: Final = timedelta(seconds=25)
SINKS: Final = ("log", "pager")
EMPTY: Final = dict.fromkeys(("status", "error_type", "error_message", "errored_at", "due_at", "incident_id"))
"""What an alert may leave out."""


def alert_id(number: int) -> UUID:
    """Return always the same id."""
    return UUID(int=(1 << 64) + number)


def payload(number: int, state: str = "firing", **words: Any) -> dict[str, Any]:
    """Return what is told of a connection's alert."""
    told = {
        "schema": 1,
        "alert_id": str(alert_id(number)),
        "state": state,
        "severity": "warning",
        "target": TARGET,
        "user_id": str(UUID(int=number)),
        "provider": "fitbit",
        "kind": "errored",
        "error_type": "token_refresh_failed",
        "observed_at": "2025-03-01T12:00:00.123457Z",
        "summary": f"It is {state}.",
        "remedy": "Link again.",
    }
    return told | words


def incident_payload(number: int, state: str = "firing", **words: Any) -> dict[str, Any]:
    """Return what is told of an incident."""
    told = payload(number, state, severity="critical", users=12, share=0.4, since="2025-03-01T11:55:00Z")
    del told["user_id"]
    return told | words


async def all_waiting(store: Store, sink: str) -> list[Notice]:
    """Return all that waits for a sink in the order of its decision, held back or not, and leave it as it is."""
    if isinstance(store, MemoryStore):
        return [_notice(number, row) for number, row in store._outbox._waiting(sink)]
    held: Any = store
    waiting = select(outbox).where(outbox.c.sink == sink, outbox.c.written_at.is_(None)).order_by(outbox.c.id)
    async with held._database.reading() as connection:
        return [_notice(row.id, row) for row in (await connection.execute(waiting)).all()]


def _notice(number: int, row: Any) -> Notice:
    words = {name: getattr(row, name) for name in ("event", "alert_id", "state", "updates", "payload", "created_at")}
    return Notice(id=number, lease=row.lease or 0, attempts=row.attempts, **words)


class Teller:
    """One store under a clock that moves when told."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = store or MemoryStore()
        self.now = START

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def later(self, **amount: float) -> datetime:
        """Move the clock on, and return the time."""
        self.now += timedelta(**amount)
        return self.now

    async def tell(
        self, number: int, state: str = "firing", *, sinks: Sequence[str] = SINKS, updates: int = 0, **words: Any
    ) -> None:
        """Queue a notice of a connection's alert."""
        await self._enqueue(CONNECTION_ALERT, number, state, updates, payload(number, state, **words), sinks)

    async def tell_incident(
        self, number: int, state: str = "firing", *, sinks: Sequence[str] = SINKS, updates: int = 0, **words: Any
    ) -> None:
        """Queue a notice of an incident."""
        await self._enqueue(INCIDENT_ALERT, number, state, updates, incident_payload(number, state, **words), sinks)

    async def claim(self, sink: str = "pager", *, limit: int = 100, **wanted: Any) -> list[Notice]:
        """Take what waits for a sink."""
        return await self.store.outbox.claim(sink, limit=limit, now=self.now, lease=LEASE, **wanted)

    async def waiting(self, sink: str = "pager") -> list[tuple[UUID, str]]:
        """Return what may be taken for a sink, and leave it waiting."""
        found = await self.claim(sink)
        await self.store.outbox.release(found)
        return [(each.alert_id, each.state) for each in found]

    async def fire(self, number: int) -> None:
        """Let an alert of a user of its own fire, as the tables have it."""
        user = UUID(int=number)
        await self.store.cohort.register(
            TARGET, [ListedUser(user_id=user, client_user_id=None)], now=self.now, revive=True
        )
        if isinstance(self.store, MemoryStore):
            tables: Any = self.store._outbox._tables
            words = self._alert(number, 0, 0)
            alert = rows.alert(SimpleNamespace(**{**EMPTY, **words}, user_id=user, target=TARGET))
            key = tables.keys[alert.user]
            tables.file(key, AlertView(alert=alert, fired_reason="errored", reason="errored", resolved_at=None))
            return
        async with self._writing() as connection:
            member, target = (
                await connection.execute(select(users.c.id, users.c.target_id).filter_by(user_id=user))
            ).one()
            await connection.execute(insert(alerts).values(self._alert(number, member, target)))

    async def resolve(self, number: int) -> None:
        """Let an alert be over, as the tables have it."""
        if isinstance(self.store, MemoryStore):
            tables: Any = self.store._outbox._tables
            filed = tables.alerts[alert_id(number)]
            over = replace(filed.view.alert, state=AlertState.RESOLVED)
            tables.file(filed.key, replace(filed.view, alert=over, resolved_at=self.now))
            return
        over = update(alerts).where(alerts.c.id == alert_id(number)).values(state="resolved", resolved_at=self.now)
        async with self._writing() as connection:
            await connection.execute(over)

    async def soften(self, number: int, severity: str) -> None:
        """Let an alert that fires have another severity, as the tables have it."""
        if isinstance(self.store, MemoryStore):
            tables: Any = self.store._outbox._tables
            filed = tables.alerts[alert_id(number)]
            softer = replace(filed.view.alert, severity=Severity(severity))
            tables.file(filed.key, replace(filed.view, alert=softer))
            return
        softened = update(alerts).where(alerts.c.id == alert_id(number)).values(severity=severity)
        async with self._writing() as connection:
            await connection.execute(softened)

    async def open_incident(self, number: int) -> None:
        """Let an incident be open, as the tables have it; its target is there."""
        if isinstance(self.store, MemoryStore):
            row = SimpleNamespace(**self._incident(number, 0), target=TARGET, resolved_at=None)
            figures = SimpleNamespace(users=12, broken=12, joined_at=self.now)
            opened = IncidentView(incident=rows.incident(row, figures, 30), reason="a wave")
            self.store._outbox._tables.incidents[alert_id(number)] = opened
            return
        async with self._writing() as connection:
            target = (await connection.execute(select(targets.c.id))).scalars().first()
            await connection.execute(insert(incidents).values(self._incident(number, target)))

    def _alert(self, number: int, member: int, target: int) -> dict[str, Any]:
        moments = dict.fromkeys(("began_at", "confirmed_at", "fired_at"), self.now)
        words = {"kind": "error", "provider": "fitbit", "resource": "", "severity": "warning", "state": "firing"}
        ids = {"id": alert_id(number), "member": member, "target_id": target, "began_by": UUID(int=0), "updates": 0}
        return ids | words | moments | {"reason": "errored"}

    def _incident(self, number: int, target: int | None) -> dict[str, Any]:
        words = {
            "provider": "oura",
            "error_type": "unknown",
            "severity": "critical",
            "cause": "provider",
            "state": "firing",
        }
        numbers = {"users": 12, "share": 0.4, "told_users": 12, "updates": 0}
        moments = {"since": self.now, "opened_at": self.now}
        return {"id": alert_id(number), "target_id": target, "reason": "a wave"} | words | numbers | moments

    async def _enqueue(
        self, event: str, number: int, state: str, updates: int, told: dict[str, Any], sinks: Sequence[str]
    ) -> None:
        notice = {
            "member": None,
            "event": event,
            "alert_id": alert_id(number),
            "state": state,
            "updates": updates,
            "payload": told,
            "created_at": self.now,
        }
        if isinstance(self.store, MemoryStore):
            self.store._outbox._tables.enqueue([notice], sinks)
            return
        async with self._writing() as connection:
            await enqueue(connection, [notice], sinks)

    def _writing(self) -> Any:
        store: Any = self.store
        return store._database.writing()

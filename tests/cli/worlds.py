"""Transitions for tests, and a store in which some have happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from monitor.core.judge import Cadence, seen
from monitor.core.model import Connection, Kind, Snapshot, Transition
from monitor.ports import ListedUser

if TYPE_CHECKING:
    from monitor.ports import Store

NOW = datetime(2026, 11, 24, 3, 15, 2, tzinfo=UTC)
USER = UUID(int=10)
OTHER = UUID(int=11)
UNKNOWN = UUID(int=12)
LEASE = timedelta(minutes=1)
CADENCE = Cadence(interval=timedelta(minutes=15), gone_interval=timedelta(days=1))


def transition(**changes: Any) -> Transition:
    """Return a connection that broke, changed as told."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "target": "acme",
        "user_id": USER,
        "provider": "fitbit",
        "kind": Kind.ERRORED,
        "previous_status": "connected",
        "status": "error",
        "error_type": "token_refresh_failed",
        "error_message": "The token\nexpired",
        "errored_at": NOW,
        "previous_observed_at": NOW,
        "observed_at": NOW,
    }
    return Transition(**(values | changes))


def fitbit(status: str = "connected", **changes: Any) -> Connection:
    """Return a connection to fitbit; one in error says why."""
    if status == "error":
        changes = {"error_type": "token_refresh_failed", "error_message": "expired", "errored_at": NOW} | changes
    return Connection(provider="fitbit", status=status, resources={"sleep": "available"}, **changes)


def oura(**changes: Any) -> Connection:
    """Return a connection to oura that works but lacks a resource."""
    return Connection(provider="oura", status="connected", resources={"sleep": "unavailable"}, **changes)


@dataclass
class World:
    """A store, and what its users' connections are seen to be."""

    store: Store

    async def register(self, *users: UUID, target: str = "acme") -> None:
        """Register users an hour before anything happens."""
        listed = [ListedUser(user_id=each, client_user_id=f"client-{each.int}") for each in users]
        await self.store.cohort.register(target, listed, now=NOW - timedelta(hours=1), revive=True)

    async def see(self, user: UUID, *connections: Connection, at: datetime, target: str = "acme") -> None:
        """Commit one poll that saw these connections."""
        polls = self.store.polls
        claims = await polls.claim_users(target, [user], now=at, lease=LEASE)
        known = await polls.known(claims)
        snapshot = Snapshot(connections={each.provider: each for each in connections})
        verdicts = [seen(each, known[each.key], snapshot, b"%d" % at.timestamp(), CADENCE, at) for each in claims]
        assert await self.store.polls.commit(verdicts, now=at) == {each.key for each in claims}


async def fill(store: Store) -> None:
    """Let one user's fitbit break between two polls, beside a user that was never polled."""
    world = World(store)
    await world.register(USER, OTHER)
    await world.see(USER, fitbit(), oura(), at=NOW - timedelta(minutes=30))
    await world.see(USER, fitbit("error"), oura(), at=NOW)

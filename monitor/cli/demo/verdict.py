"""The end of the demonstration: everything that was found beside everything that was done."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.demo.reconcile import ABSENT, Step, Tally, reconcile
from monitor.core.alerting import AlertKind, is_new_error
from monitor.core.model import Kind, Presence
from monitor.errors import MonitorError
from monitor.ports import AlertFilter, TransitionFilter
from monitor.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    import httpx

    from monitor.core.model import Transition
    from monitor.ports import Store

LAST_ROUND_WITHIN: Final = 90.0
NOT_OBSERVABLE: Final = frozenset({"user_created"})
"""The ledger's words for what no poll of the cohort can show."""


async def last_round(database: str) -> None:
    """Return when every user was polled after now; the world must stand still."""
    since, give_up = datetime.now(UTC), time.monotonic() + LAST_ROUND_WITHIN
    store = open_store(database)
    try:
        while await _unseen(store, since):
            if time.monotonic() > give_up:
                raise MonitorError(f"not every user was polled within {LAST_ROUND_WITHIN:g} s")
            await asyncio.sleep(0.3)
    finally:
        await store.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of it: transitions beside the ledger, and alerts beside the transitions.

    ``pending`` counts connections that are missing and wait for their confirmation; they count as found.
    ``fired`` are the ids of all alerts and incidents that fired. ``unstable`` counts errors that a connection's one
    unstable alert stands for, ``silent`` those that no alert stands for at all.
    """

    tally: Tally
    pending: int
    fired: frozenset[str]
    incidents: int
    unstable: int
    silent: int


async def judged(database: str, http: httpx.AsyncClient, simulator: str, blind: timedelta) -> Verdict:
    """Return how the store compares with the ledger, and whether an alert stands for every error."""
    lines = (await http.get(f"{simulator}/_simulator/ledger")).text.splitlines()
    store = open_store(database)
    try:
        found = [each async for each in store.views.transitions(TransitionFilter()) if not each.baseline]
        alerts = [each.alert async for each in store.views.alerts(AlertFilter())]
        incidents = await store.views.incidents(since=datetime.min.replace(tzinfo=UTC))
        pending = await pending_steps(store)
    finally:
        await store.aclose()
    begun = {each.began_by for each in alerts}
    flapping = {(each.user.user_id, each.provider) for each in alerts if each.kind is AlertKind.UNSTABLE}
    others = [each for each in found if is_new_error(each) and each.id not in begun]
    unstable = sum((each.user_id, each.provider) in flapping for each in others)
    return Verdict(
        tally=reconcile(made(lines), [*map(found_step, found), *pending], blind=blind),
        pending=len(pending),
        fired=frozenset(str(each.id) for each in alerts if each.fired_at)
        | frozenset(str(each.incident.id) for each in incidents),
        incidents=len(incidents),
        unstable=unstable,
        silent=len(others) - unstable,
    )


def made(lines: Iterable[str]) -> list[Step]:
    """Return the ledger's lines as steps."""
    changes = [json.loads(line) for line in lines]
    return [_made(each) for each in changes if each["kind"] not in NOT_OBSERVABLE]


def _made(change: dict[str, Any]) -> Step:
    return Step(
        place=(change["user_id"], change["provider"], change["resource"]),
        kind=change["kind"],
        at=datetime.fromisoformat(change["at"]),
        **_faces(change["kind"], change),
    )


def found_step(each: Transition) -> Step:
    """Return a stored transition as a step."""
    told = {
        "previous_status": each.previous_status,
        "previous_error_type": each.previous_error_type,
        "status": each.status,
        "error_type": each.error_type,
    }
    place = (str(each.user_id), each.provider, each.resource)
    return Step(place=place, kind=each.kind.value, at=each.observed_at, **_faces(each.kind.value, told))


def _faces(kind: str, told: dict[str, Any]) -> dict[str, tuple[str | None, ...]]:
    """Return what an observer sees before and after: of a resource its availability, else the row's status."""
    if kind.startswith(("resource_", "user_")):
        lost = kind in {"resource_lost", "user_gone"}
        return {"before": (str(lost),), "after": (str(not lost),)}
    return {
        "before": (told["previous_status"], told["previous_error_type"]),
        "after": (told["status"], told["error_type"]),
    }


async def pending_steps(store: Store) -> list[Step]:
    """Return the connections that are missing and not yet believed to be gone, as the steps that they would be."""
    doubted = {
        (member.user_id, provider): doubt.since
        async for member in store.cohort.members(None)
        for provider, doubt in member.doubts.connections.items()
    }
    return [
        Step(
            place=(str(view.user_id), view.connection.provider, None),
            kind=Kind.DISAPPEARED.value,
            at=doubted[view.user_id, view.connection.provider],
            before=(view.connection.status, view.connection.error_type),
            after=ABSENT,
        )
        async for view in store.views.connections()
        if (view.user_id, view.connection.provider) in doubted
    ]


async def _unseen(store: Store, since: datetime) -> bool:
    async for each in store.cohort.members(None):
        if each.presence is Presence.PRESENT and (each.observed_at is None or each.observed_at <= since):
            return True
    return False

"""What ``monitor status`` and ``monitor explain`` say of targets that do not work and of users that are not seen."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.cli.session import opened
from monitor.config import load
from monitor.core import judge
from monitor.core.budget import Pace
from monitor.core.model import Outcome
from monitor.core.target_health import PollAnswer
from tests.cli.worlds import CADENCE, LEASE, NOW, OTHER, USER, World, fitbit, oura

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.ports import Store
    from tests.cli.conftest import Run


async def refuse_the_other(store: Store) -> None:
    """Let one user be refused twice."""
    for minutes in (1, 2):
        at = NOW + timedelta(minutes=minutes)
        (claim,) = await store.polls.claim_users("acme", [OTHER], now=at, lease=LEASE)
        refused = judge.unobserved(claim, Outcome.REJECTED, CADENCE, at, reason="HTTP 403: not yours")
        await store.polls.commit([refused], now=at)


async def forget_many(store: Store) -> None:
    """Let so many users be answered 404 that the target is at fault."""
    missing = [
        PollAnswer(key=key, outcome=Outcome.GONE, code="404", asked_at=NOW, at=NOW, counts=True) for key in range(1, 6)
    ]
    since = NOW - timedelta(minutes=15)
    await store.polls.assess("acme", missing, since=since, now=NOW, pace=Pace(rate=10))


@pytest.fixture
def troubled(place: Path) -> Path:
    """Put users with troubles into the real database of the configuration."""
    config = load(place / "config.yaml", {})

    async def go() -> None:
        async with opened(config) as store:
            world = World(store)
            await world.register(USER, OTHER)
            await world.see(USER, fitbit(), oura(), at=NOW - timedelta(minutes=30))
            await world.see(USER, fitbit(), at=NOW)
            await refuse_the_other(store)
            await forget_many(store)

    asyncio.run(go())
    return place


@pytest.mark.usefixtures("troubled")
def test_status_names_what_is_wrong_with_a_target(run: Run) -> None:
    """The verdict with its reason, and users that are not seen with theirs, in words for people and as JSON."""
    shown = run("status")
    assert shown.exit_code == 0
    assert "acme: not_found since" in shown.stderr
    assert "acme: users whose last polls returned nothing: 1 rejected" in shown.stderr
    record = json.loads(run("status", "--json").stdout.splitlines()[0])
    assert record["unseen"] == {"rejected": 1}
    assert [verdict["reason"] for verdict in record["verdicts"]] == ["not_found"]


@pytest.mark.usefixtures("troubled")
def test_explain_says_why_a_user_is_not_seen(run: Run) -> None:
    """How its last poll ended, when, and what is wrong with its target as a whole."""
    shown = run("explain", str(OTHER)).stdout
    assert "failed    rejected (HTTP 403: not yours)" in shown
    assert "target    not_found since" in shown


@pytest.mark.usefixtures("troubled")
def test_explain_says_what_is_missing_and_not_yet_believed(run: Run) -> None:
    """A connection that the last answer lacked is still there, and waits for a second answer."""
    shown = run("explain", str(USER)).stdout
    assert "missing   oura, since" in shown
    assert "now       oura: connected" in shown

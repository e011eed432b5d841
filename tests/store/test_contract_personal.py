"""Personal data that is stored already, brought into another form."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import LogCapture

from monitor.core.model import Intent
from monitor.housekeeping import LOOK_AGAIN_AFTER, PrivacyMode, PrivacyRewriting
from monitor.ports import ListedUser, Subject
from tests.store.contract_stage import ANN, BOB, CID, TARGET, broken, connected

if TYPE_CHECKING:
    from uuid import UUID

    from tests.store.contract_stage import Stage


def hashed(value: str) -> str:
    """Return a hash that is never hashed again."""
    return value if value.startswith("hash:") else f"hash:{sha256(value.encode()).hexdigest()}"


def drop(_: str) -> None:
    """Keep nothing."""


class House:
    """The job under the stage's clock."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.logs = LogCapture()

    async def rewrite(self, mode: str, hide: Any = str) -> list[tuple[str, int]]:
        """Let the job run with every subject in one mode, and return what it says: subjects and values."""
        self.logs.entries.clear()
        job = PrivacyRewriting(
            personal=self.stage.store.personal,
            modes={subject: PrivacyMode(mode=mode, hide=hide) for subject in Subject},
            log=structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs]),
            clock=lambda: self.stage.now,
            pause=partial(asyncio.sleep, 0),
        )
        assert await job.rewrite()
        return [(each["subject"], each["values"]) for each in self.logs.entries]


async def live(stage: Stage) -> None:
    """Let users with names of their own have accounts, now and in the past."""
    listed = [ListedUser(user_id=user, client_user_id=f"name {user.int}") for user in (ANN, BOB, CID)]
    await stage.store.cohort.register(TARGET, listed, now=stage.now, revive=True)
    for rows in ((connected(external_user_id="a@x"), connected("oura")), (broken(external_user_id="a@x"),)):
        await stage.see(ANN, *rows)
    await stage.see(BOB, connected(external_user_id="b@x"))
    await stage.store.cohort.set_intent(TARGET, [BOB], Intent.REMOVED, now=stage.now)


async def names(stage: Stage) -> list[str | None]:
    """Return what is stored of users' own names."""
    return [each.client_user_id async for each in stage.store.cohort.members(None, include_removed=True)]


async def accounts(stage: Stage, user: UUID) -> set[str | None]:
    """Return what is stored of a user's accounts at its first provider, now and in the past."""
    found = [each.connection.external_user_id for each in await stage.connections() if each.user_id == user]
    start = stage.now - timedelta(minutes=5)
    moments = [start + timedelta(seconds=10 * each) for each in range(40)]
    past = [await stage.store.views.snapshot_at(TARGET, user, each) for each in moments]
    return {*found, *(each.connections[0].external_user_id for each in past if each is not None)}


async def test_plain_values_are_dropped(stage: Stage) -> None:
    """Current ones and past ones, of removed users too; all else stays."""
    await live(stage)
    before = await stage.transitions()
    assert await accounts(stage, ANN) == {"a@x"}
    assert await House(stage).rewrite("drop", drop) == [("external_user_id", 5), ("client_user_id", 3)]
    assert await names(stage) == [None, None, None]
    assert [await accounts(stage, user) for user in (ANN, BOB)] == [{None}, {None}]
    assert await stage.transitions() == before


async def test_plain_values_are_hashed_once(stage: Stage) -> None:
    """However often the job runs, and whatever was stored as a hash meanwhile."""
    await live(stage)
    await stage.see(CID, connected(external_user_id=hashed("c@x")))
    house = House(stage)
    assert await house.rewrite("hash", hashed) == [("external_user_id", 5), ("client_user_id", 3)]
    stage.later(seconds=LOOK_AGAIN_AFTER.total_seconds())
    assert await house.rewrite("hash", hashed) == []
    assert await names(stage) == [hashed(f"name {user.int}") for user in (ANN, BOB, CID)]
    (current,) = (each for each in await stage.connections() if each.user_id == ANN)
    assert current.connection.external_user_id == hashed("a@x")
    past = await stage.store.views.snapshot_at(TARGET, ANN, stage.now)
    assert past is not None
    assert past.connections[0].external_user_id == hashed("a@x")


async def test_hashes_can_be_dropped_and_are_not_brought_back_by_plain(stage: Stage) -> None:
    """Each change of the configuration is followed from where the data is; a hash cannot be undone."""
    await live(stage)
    house = House(stage)
    await house.rewrite("hash", hashed)
    assert await house.rewrite("plain") == []
    assert await names(stage) == [hashed(f"name {user.int}") for user in (ANN, BOB, CID)]
    assert await house.rewrite("drop", drop) == [("external_user_id", 5), ("client_user_id", 3)]
    assert await names(stage) == [None, None, None]


async def test_data_is_looked_at_once_more_and_then_left_alone(stage: Stage) -> None:
    """A replica of before may write the earlier form for a while; after that the database knows its form."""
    await live(stage)
    house = House(stage)
    await house.rewrite("drop", drop)
    listed = [ListedUser(user_id=ANN, client_user_id="late")]
    await stage.store.cohort.register(TARGET, listed, now=stage.now, revive=False)
    assert await house.rewrite("drop", drop) == []
    stage.later(seconds=LOOK_AGAIN_AFTER.total_seconds())
    assert await house.rewrite("drop", drop) == [("client_user_id", 1)]
    assert [form.settled for form in (await stage.store.personal.forms()).values()] == [True, True]
    await stage.store.cohort.register(TARGET, listed, now=stage.now, revive=False)
    stage.later(days=1)
    assert await house.rewrite("drop", drop) == []


async def test_a_pass_goes_by_some_users_at_a_time_and_may_be_stopped(stage: Stage) -> None:
    """What is in its form already is left alone by the next one."""
    await live(stage)
    hide = stage.store.personal.hide
    first = await hide(Subject.CLIENT_USER_ID, hashed, after=0, limit=2)
    assert (first.changed, first.after is None) == (2, False)
    again = await hide(Subject.CLIENT_USER_ID, hashed, after=0, limit=2)
    assert (again.changed, again.after) == (0, first.after)
    assert first.after is not None
    rest = await hide(Subject.CLIENT_USER_ID, hashed, after=first.after, limit=2)
    assert (rest.changed, rest.after) == (1, None)

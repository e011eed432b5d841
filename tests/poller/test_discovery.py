from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.discovery import discover, list_users
from monitor.ports import Answer, ListedUser, UserPage
from monitor.store.memory import MemoryStore
from monitor.store.memory.cohort import MemoryCohort
from monitor.store.memory.tables import Tables
from tests.poller.rig import TARGET, user
from tests.poller.world import REJECTED, FakeJunction

if TYPE_CHECKING:
    from uuid import UUID

    from monitor.discovery import Discovery


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


async def at_once() -> None:
    """Let any request be made."""


class Shifting(FakeJunction):
    """Lists ``users`` by offset; after each page the first user leaves."""

    def __init__(self, count: int, leaving: int) -> None:
        super().__init__()
        self.listed = [user(number) for number in range(count)]
        self.leaving = leaving

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Give a page, then let somebody go."""
        rows = self.listed[offset : offset + limit]
        page = UserPage(
            users=tuple(ListedUser(user_id=each, client_user_id=None) for each in rows), total=len(self.listed)
        )
        if self.leaving:
            self.leaving -= 1
            del self.listed[:10]
        return page


class Noted(MemoryCohort):
    """A cohort that remembers what was noted."""

    def __init__(self) -> None:
        super().__init__(Tables())
        self.lists: list[frozenset[UUID]] = []
        self.started: list[datetime] = []
        self.discovered: list[datetime] = []

    async def note_list(self, target: str, listed: frozenset[UUID], started_at: datetime) -> None:
        """Remember."""
        await super().note_list(target, listed, started_at)
        self.lists.append(listed)
        self.started.append(started_at)

    async def note_discovery(self, target: str, now: datetime) -> None:
        """Remember."""
        await super().note_discovery(target, now)
        self.discovered.append(now)


async def found(junction: FakeJunction, store: MemoryStore) -> Discovery:
    """Discover once."""
    return await discover(TARGET, junction, store.cohort, now, at_once)


async def test_every_listed_user_is_registered() -> None:
    """All pages are walked."""
    store = MemoryStore()
    result = await found(Shifting(1234, leaving=0), store)
    assert (result.listed, result.added, result.complete) == (1234, 1234, True)


async def test_no_user_is_skipped_while_the_pages_shift() -> None:
    """Users that leave the list between two pages push none of the others out of sight."""
    store, junction = MemoryStore(), Shifting(1600, leaving=3)
    await found(junction, store)
    members = {each.user_id async for each in store.cohort.members(TARGET)}
    assert members >= set(junction.listed)


async def test_discovering_again_adds_nobody() -> None:
    """Known users are known."""
    store = MemoryStore()
    await found(Shifting(30, leaving=0), store)
    again = await found(Shifting(30, leaving=0), store)
    assert (again.added, again.known) == (0, 30)


class Paged(FakeJunction):
    """Lists users by offset, never more than ``longest`` at once, whatever is asked for."""

    def __init__(self, count: int, longest: int) -> None:
        super().__init__()
        self.count = count
        self.longest = longest
        self.requests = 0

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Give a short page."""
        self.requests += 1
        numbers = range(offset, min(self.count, offset + min(limit, self.longest)))
        return UserPage(users=tuple(listed(number) for number in numbers), total=self.count)


def listed(number: int) -> ListedUser:
    """Return a user as the list has it."""
    return ListedUser(user_id=user(number), client_user_id=None)


@given(count=st.integers(1, 400), longest=st.integers(1, 500))
@settings(max_examples=50, deadline=None)
def test_short_pages_cost_no_more_requests_than_there_are_pages_and_a_fifth(count: int, longest: int) -> None:
    """The overlap goes by the page that came: 51 users a page once took a request for each user."""
    junction = Paged(count, longest)
    result = asyncio.run(found(junction, MemoryStore()))
    assert (result.listed, result.complete) == (count, True)
    assert junction.requests <= 1.2 * count / min(longest, count) + 2


async def test_a_list_that_does_not_move_on_is_given_up() -> None:
    """A server that ignores the offset is asked a few times, and not for ever."""

    class Stuck(Paged):
        async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
            assert offset <= limit * 100
            self.requests += 1
            return UserPage(users=(listed(1), listed(2)), total=1_000_000_000)

    junction = Stuck(2, 2)
    result = await found(junction, MemoryStore())
    assert not result.complete
    assert junction.requests <= 20


async def test_a_complete_list_is_noted() -> None:
    """Who answers 404 is looked up in it, and the first complete one has its time."""
    cohort = Noted()
    began = now()
    await discover(TARGET, Paged(3, 500), cohort, now, at_once)
    assert cohort.lists == [frozenset(user(number) for number in range(3))]
    assert began <= cohort.started[0] <= cohort.discovered[0] <= now()


async def test_an_incomplete_list_is_not_noted() -> None:
    """It says nothing of those that it does not name."""
    cohort = Noted()
    page = UserPage(users=(listed(1),), total=1000)
    await discover(TARGET, FakeJunction(pages=[page, REJECTED]), cohort, now, at_once)
    assert (cohort.lists, cohort.discovered) == ([], [])


async def test_a_list_can_be_read_without_registering_anybody() -> None:
    """For a target that does not use discovery."""
    began = now()
    read = await list_users(Paged(7, 3), now, at_once)
    assert (read.user_ids, read.complete) == (frozenset(user(number) for number in range(7)), True)
    assert began <= read.started_at <= now()


async def test_an_erased_user_is_listed_and_not_registered() -> None:
    """A person who asked to be forgotten stays so."""
    store = MemoryStore()
    await found(Paged(3, 500), store)
    await store.cohort.erase(TARGET, user(1), now=now())
    result = await found(Paged(3, 500), store)
    assert (result.listed, result.added, result.known) == (3, 0, 2)
    assert await store.cohort.member(TARGET, user(1)) is None


async def test_a_list_that_cannot_be_had_says_why() -> None:
    """A refused key is a reason, not a crash."""
    result = await found(FakeJunction(pages=[REJECTED]), MemoryStore())
    assert result.failure == "Junction answered 401"


async def test_an_unreadable_row_does_not_make_the_list_endless() -> None:
    """Rows without a usable id are counted, and the pass ends."""
    page = UserPage(users=(ListedUser(user_id=user(1), client_user_id=None),), total=2, malformed_rows=1)
    result = await found(FakeJunction(pages=[page]), MemoryStore())
    assert result.complete

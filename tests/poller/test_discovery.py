from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitor.discovery import discover
from monitor.ports import Answer, ListedUser, UserPage
from monitor.store.memory import MemoryStore
from tests.poller.rig import TARGET, user
from tests.poller.world import REJECTED, FakeJunction

if TYPE_CHECKING:
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


async def test_a_list_that_cannot_be_had_says_why() -> None:
    """A refused key is a reason, not a crash."""
    result = await found(FakeJunction(pages=[REJECTED]), MemoryStore())
    assert result.failure == "Junction answered 401"


async def test_an_unreadable_row_does_not_make_the_list_endless() -> None:
    """Rows without a usable id are counted, and the pass ends."""
    page = UserPage(users=(ListedUser(user_id=user(1), client_user_id=None),), total=2, malformed_rows=1)
    result = await found(FakeJunction(pages=[page]), MemoryStore())
    assert result.complete

"""Reads a target's user list, and registers every user that it names.

The list is paged by offset with no promised order: pages shift while users come and go. So pages overlap, and a pass
that saw fewer users than the vendor states is made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitor.ports import UserPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.ports import Answer, Cohort, Junction, ListedUser

    OnUsers = Callable[[Sequence[ListedUser]], Awaitable[None]]

PAGE: Final = 500
"""The most that the vendor gives at once."""
OVERLAP: Final = 10
"""The part of a page, one in so many, that the next one repeats: so many users may leave before it without one being
skipped. It goes by the page that came, so that a server of short pages is asked about 1.1 times its pages."""
PASSES: Final = 3
MOST_REPEATING: Final = 5
"""Pages in a row without a user that is new to the pass: then the list does not move on, whatever total it states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """What reading a target's user list came to. ``failure`` says why it is not complete, None where it is.

    ``started_at`` is when the reading began: who is not in a complete list was not listed at some time after it.
    """

    user_ids: frozenset[UUID]
    started_at: datetime
    failure: str | None = None

    @property
    def complete(self) -> bool:
        """Whether these are all users that the target lists."""
        return self.failure is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a discovery came to. ``failure`` says why it is not ``complete``, None where it is.

    Erased users are ``listed``, and neither ``added`` nor ``known``.
    """

    listed: int
    added: int
    known: int
    failure: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every user that the target lists is registered."""
        return self.failure is None


async def list_users(
    junction: Junction,
    clock: Callable[[], datetime],
    turn: Callable[[], Awaitable[None]],
    on_users: OnUsers | None = None,
) -> UserList:
    """Read the whole list.

    Args:
        junction: the target's API.
        clock: the time of day.
        turn: returns when a request may be made.
        on_users: is handed the users that no page before named, page by page.
    """
    reading = _Reading(junction, turn, on_users)
    started_at = clock()
    failure = await reading.read()
    return UserList(user_ids=frozenset(reading.seen), started_at=started_at, failure=failure)


async def discover(
    target: str, junction: Junction, cohort: Cohort, clock: Callable[[], datetime], turn: Callable[[], Awaitable[None]]
) -> Discovery:
    """Register every user that ``target`` lists; removed and erased users stay away, paused ones stay paused.

    A complete list also tells which of the users that Junction answers 404 for it still names.

    Args:
        target: its name.
        junction: its API.
        cohort: where users are registered.
        clock: the time of day.
        turn: returns when a request may be made.

    Raises:
        StoreUnavailable: the database does not answer; what was registered so far stays.
    """
    added = known = 0

    async def register(users: Sequence[ListedUser]) -> None:
        nonlocal added, known
        registered = await cohort.register(target, users, now=clock(), revive=False)
        added, known = added + registered.added, known + registered.known

    found = await list_users(junction, clock, turn, register)
    if found.complete:
        await cohort.note_list(target, found.user_ids, found.started_at)
        await cohort.note_discovery(target, clock())
    return Discovery(listed=len(found.user_ids), added=added, known=known, failure=found.failure)


@dataclass(slots=True)
class _Reading:
    """One reading of the list, in a few passes over it."""

    junction: Junction
    turn: Callable[[], Awaitable[None]]
    on_users: OnUsers | None
    seen: set[UUID] = field(default_factory=set)

    async def read(self) -> str | None:
        """Read until all are seen; return why that is not so, None where it is."""
        for _ in range(PASSES):
            outcome = await self._pass()
            if isinstance(outcome, str):
                return outcome
            total, unreadable = outcome
            if len(self.seen) + unreadable >= total:
                return None
        return f"the list kept changing: {total} users stated, {len(self.seen)} found"

    async def _pass(self) -> tuple[int, int] | str:
        """Return the total that the last page states and how many rows were unreadable, or why there is no page."""
        offset, total, unreadable, repeating = 0, 1, 0, 0
        passed: set[UUID] = set()
        while offset < total and repeating < MOST_REPEATING:
            await self.turn()
            page = await self.junction.users(offset=offset, limit=PAGE)
            if not isinstance(page, UserPage):
                return _why(page)
            total, unreadable = page.total, unreadable + page.malformed_rows
            await self._take(page)
            repeating = 0 if any(each.user_id not in passed for each in page.users) else repeating + 1
            passed.update(each.user_id for each in page.users)
            rows = len(page.users) + page.malformed_rows
            if not rows:
                break
            offset += rows if offset + rows >= total else rows - rows // OVERLAP
        return total, unreadable

    async def _take(self, page: UserPage) -> None:
        new = [each for each in page.users if each.user_id not in self.seen]
        if new and self.on_users is not None:
            await self.on_users(new)
        self.seen.update(each.user_id for each in new)


def _why(answer: Answer) -> str:
    reason = f"Junction answered {answer.code}" if answer.answered else f"no answer ({answer.code})"
    return f"{reason}: {answer.detail}" if answer.detail else reason

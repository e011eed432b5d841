"""Registers every user that a target lists.

The list is paged by offset with no promised order: pages shift while users come and go. So pages overlap, and a pass
that saw fewer users than the vendor states is made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.ports import UserPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from monitor.ports import Answer, Cohort, Junction

PAGE: Final = 500
"""The most that the vendor gives at once."""
OVERLAP: Final = 50
"""How many users may leave the list before a page's start without one being skipped."""
PASSES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a discovery came to. ``failure`` says why it is not ``complete``, None where it is."""

    listed: int
    added: int
    known: int
    failure: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every user that the target lists is registered."""
        return self.failure is None


@dataclass(slots=True)
class _Progress:
    seen: set[UUID]
    added: int = 0
    unreadable: int = 0
    failure: str | None = None


async def discover(
    target: str, junction: Junction, cohort: Cohort, clock: Callable[[], datetime], turn: Callable[[], Awaitable[None]]
) -> Discovery:
    """Register every user that ``target`` lists; removed users stay removed, paused ones stay paused.

    Args:
        target: its name.
        junction: its API.
        cohort: where users are registered.
        clock: the time of day.
        turn: returns when a request may be made.

    Raises:
        StoreUnavailable: the database does not answer; what was registered so far stays.
    """
    progress = _Progress(seen=set())
    for _ in range(PASSES):
        total = await _pass(target, junction, cohort, clock, turn, progress)
        if progress.failure is not None or len(progress.seen) + progress.unreadable >= total:
            break
    else:
        progress.failure = f"the list kept changing: {total} users stated, {len(progress.seen)} found"
    return Discovery(
        listed=len(progress.seen),
        added=progress.added,
        known=len(progress.seen) - progress.added,
        failure=progress.failure,
    )


async def _pass(
    target: str,
    junction: Junction,
    cohort: Cohort,
    clock: Callable[[], datetime],
    turn: Callable[[], Awaitable[None]],
    progress: _Progress,
) -> int:
    offset, total, progress.unreadable = 0, 1, 0
    while offset < total:
        await turn()
        page = await junction.users(offset=offset, limit=PAGE)
        if not isinstance(page, UserPage):
            progress.failure = _why(page)
            return total
        total = page.total
        progress.unreadable += page.malformed_rows
        fresh = [each for each in page.users if each.user_id not in progress.seen]
        if fresh:
            registered = await cohort.register(target, fresh, now=clock(), revive=False)
            progress.added += registered.added
            progress.seen.update(each.user_id for each in fresh)
        rows = len(page.users) + page.malformed_rows
        if not rows:
            break
        offset += rows if offset + rows >= total else max(1, rows - OVERLAP)
    return total


def _why(answer: Answer) -> str:
    reason = f"Junction answered {answer.code}" if answer.answered else f"no answer ({answer.code})"
    return f"{reason}: {answer.detail}" if answer.detail else reason

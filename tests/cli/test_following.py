"""Following transitions while they are committed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.cli import transitions
from monitor.core.model import Transition
from monitor.ports import TransitionFilter
from monitor.store.memory import MemoryStore
from tests.cli.worlds import NOW, transition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


@dataclass
class _Ledger:
    """Views of which only the transitions are asked; notes how far back each look goes."""

    committed: list[Transition] = field(default_factory=list)
    looks: list[datetime | None] = field(default_factory=list)
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def transitions(self, wanted: TransitionFilter) -> AsyncIterator[Transition]:
        self.looks.append(wanted.since)
        self.looked.set()
        for each in sorted(self.committed, key=lambda each: each.observed_at):
            if wanted.since is None or each.observed_at >= wanted.since:
                yield each


class _Following:
    """Follows a ledger step by step, under a clock that is set by hand."""

    def __init__(self, since: datetime) -> None:
        self.ledger, self.stop, self.now, self.found = _Ledger(), asyncio.Event(), NOW, list[Transition]()
        self._task = asyncio.create_task(self._follow(since))

    async def _follow(self, since: datetime) -> None:
        views = MemoryStore().views
        views.transitions = self.ledger.transitions  # type: ignore[method-assign]  # the one question that is asked
        wanted = TransitionFilter(since=since)
        async for each in transitions.followed(views, wanted, self.stop, lambda: self.now, pause=0):
            self.found.append(each)

    async def look(self) -> list[Transition]:
        """Return what was found, after two more looks."""
        for _ in range(2):
            self.ledger.looked.clear()
            await self.ledger.looked.wait()
        return self.found

    async def end(self) -> None:
        self.stop.set()
        await self._task


async def test_each_transition_is_yielded_once() -> None:
    """Also one that is committed after a later one was seen."""
    following = _Following(NOW - timedelta(days=1))
    old, first, late = (transition(observed_at=NOW - timedelta(seconds=ago)) for ago in (3600, 10, 20))
    following.ledger.committed = [old, first]
    assert await following.look() == [old, first]
    following.ledger.committed.append(late)
    assert await following.look() == [old, first, late]
    following.now += timedelta(minutes=10)
    assert await following.look() == [old, first, late]
    await following.end()


async def test_each_look_goes_back_by_the_window_only() -> None:
    """The first one alone goes back to where it was asked to begin."""
    following = _Following(NOW - timedelta(days=1))
    await following.look()
    assert following.ledger.looks[:2] == [NOW - timedelta(days=1), NOW - transitions.WINDOW]
    await following.end()


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wave larger than the memory moves the window's edge; nothing is yielded twice."""
    monkeypatch.setattr(transitions, "REMEMBERED", 5)
    following = _Following(NOW - timedelta(days=1))
    wave = [transition(observed_at=NOW - timedelta(seconds=60 - each)) for each in range(20)]
    following.ledger.committed = wave
    assert await following.look() == wave
    assert await following.look() == wave
    assert following.ledger.looks[-1] == wave[-5].observed_at
    await following.end()

"""A transaction that is cancelled, at each place where it waits, holds up no other one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.chaos.steps import Cut
from tests.store.contract_stage import ANN, BOB, broken, connected

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage


@pytest.fixture(params=["sqlite", "postgresql"])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Name each database in turn."""
    kind: str = request.param
    return kind


async def test_a_cancelled_commit_lets_go_of_everything(stage: Stage) -> None:
    """The next writer need not wait, and nothing of it was written."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    at, was_cut = 0, True
    while was_cut:
        at += 1
        verdict = await stage.seen(ANN, broken())
        before = await stage.transitions()
        was_cut = await Cut(at).run(stage.store.polls.commit([verdict], now=stage.now))
        async with asyncio.timeout(4):  # less than a lock is waited for
            await stage.register(BOB)
        after = await stage.transitions()
        assert len(after) in {len(before), len(before) + 1}
        stage.now += timedelta(hours=1)
        await stage.see(ANN, connected())
    assert at > 10

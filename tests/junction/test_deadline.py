"""Deadlines that share one timer."""

from __future__ import annotations

import asyncio
import time

import pytest

from monitor.junction.deadline import Deadlines


async def take(deadlines: Deadlines, seconds: float) -> float:
    """Wait under a deadline, and return how long it took."""
    began = time.monotonic()
    with deadlines.one():
        await asyncio.sleep(seconds)
    return time.monotonic() - began


async def test_what_takes_too_long_ends_soon_after_its_deadline() -> None:
    """Each by its own, however many there are, and what is in time is left alone."""
    deadlines, began = Deadlines(0.2), time.monotonic()
    late = [asyncio.create_task(take(deadlines, 5)) for _ in range(50)]
    assert await take(deadlines, 0.05) < 0.2
    for each in late:
        with pytest.raises(TimeoutError):
            await each
    assert 0.2 <= time.monotonic() - began < 1
    assert not deadlines.open


async def test_a_later_one_is_watched_as_well() -> None:
    """Also after there was none for a while."""
    deadlines = Deadlines(0.1)
    assert await take(deadlines, 0) < 0.1
    await asyncio.sleep(0.2)
    with pytest.raises(TimeoutError):
        await take(deadlines, 5)


async def test_a_cancellation_goes_through() -> None:
    """It is no time-out, also where both come at once."""
    deadlines = Deadlines(0.05)
    task = asyncio.create_task(take(deadlines, 5))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    both = asyncio.create_task(take(deadlines, 5))
    await asyncio.sleep(0.01)
    for each in list(deadlines.open):
        each.expire()
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both


async def test_an_error_of_its_own_is_passed_on() -> None:
    """The block failed before its time."""
    deadlines = Deadlines(5)
    with pytest.raises(ZeroDivisionError), deadlines.one():
        raise ZeroDivisionError
    assert not deadlines.open

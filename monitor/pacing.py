"""Keeps requests that are not polls within the rate of their target, which all replicas share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.core.budget import Pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.ports import Polls

AGAIN_AFTER: Final = 0.25


class Pacer:
    """Gives out the right to one request after another."""

    def __init__(self, target: str, *, rate: float, polls: Polls, clock: Callable[[], datetime]) -> None:
        self._target = target
        self._pace = Pace(rate=rate)
        self._polls = polls
        self._clock = clock

    async def turn(self) -> None:
        """Return when one request may be made.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        while not await self._is_granted():  # noqa: ASYNC110 - nobody tells when the budget has refilled
            await asyncio.sleep(AGAIN_AFTER)

    async def _is_granted(self) -> bool:
        granted = await self._polls.spend_reserved(self._target, 1, now=self._clock(), pace=self._pace)
        return granted.requests > 0

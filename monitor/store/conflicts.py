"""Conflicts between transactions: one was rolled back for the sake of another, and succeeds when it is tried again."""

from __future__ import annotations

import asyncio
import time
from functools import wraps
from random import uniform
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from monitor.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

CONFLICTS: Final = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATEs: serialization failure, deadlock, and a lock that was not to be had within ``lock_timeout``."""
FIRST_PAUSE: Final = 0.02
"""Seconds; doubled after each attempt. The other transaction is about to commit, since it was let through."""
RETRY_WITHIN: Final = 3.0
"""Seconds from the first attempt; a deadlock is found after 1 s, and a lock is waited for 2 s."""


def retry_conflicts(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run ``method`` again, after a jittered back-off, where it met a conflict.

    It is to be one writing transaction, whose arguments can be read twice.
    """

    @wraps(method)
    async def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return await method(*args, **kwargs)
            except StoreConflict:
                if time.monotonic() - began > RETRY_WITHIN:
                    raise
            await asyncio.sleep(uniform(pause / 2, pause))  # noqa: S311 - jitter, so that two do not meet again
            pause *= 2

    return retried

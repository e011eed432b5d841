from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.delivery.desk import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Give an empty outbox at the beginning of a minute, and close the sinks that a test opens."""
    desk = Desk()
    yield desk
    for each in desk.opened:
        await each.aclose()

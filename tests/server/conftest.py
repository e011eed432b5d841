from __future__ import annotations

import pytest

from tests.server.world import World


@pytest.fixture
def world() -> World:
    """Give a healthy world."""
    return World()

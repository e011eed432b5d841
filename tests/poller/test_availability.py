"""When the database counts as lost."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture

from monitor import events
from monitor.availability import CONFLICT_IS_OUTAGE_AFTER, Availability
from monitor.errors import StoreConflict, StoreUnavailable
from tests.poller.world import Recorded

CONFLICT = StoreConflict("deadlock detected")


class World:
    """An availability, what it logs, and a monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.metrics = Recorded()
        self._logs = LogCapture()
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self._logs])
        self.availability = Availability(self.metrics, log, monotonic=lambda: self.now)

    @property
    def events(self) -> list[str]:
        """What was logged."""
        return [each["event"] for each in self._logs.entries]


@pytest.fixture
def world() -> World:
    """Give a database that answers."""
    return World()


def test_an_outage_is_one_line_and_its_end_another(world: World) -> None:
    """However many jobs meet it."""
    for job in ("claim", "commit"):
        world.availability.lost(job, StoreUnavailable("gone"))
    for job in ("claim", "commit"):
        world.availability.answered(job)
    assert world.events == [events.DATABASE_LOST, events.DATABASE_RECOVERED]


def test_a_conflict_is_no_outage(world: World) -> None:
    """It is tried again, and nobody is told."""
    world.availability.lost("commit", CONFLICT)
    world.now += CONFLICT_IS_OUTAGE_AFTER - 1
    world.availability.lost("commit", CONFLICT)
    world.availability.answered("commit")
    assert world.events == []
    assert set(world.metrics.of("database_up")) == {(True,)}


def test_conflicts_alone_for_half_a_minute_are_an_outage(world: World) -> None:
    """Something holds the rows and does not let go."""
    world.availability.lost("commit", CONFLICT)
    world.now += CONFLICT_IS_OUTAGE_AFTER
    world.availability.lost("commit", CONFLICT)
    assert world.events == [events.DATABASE_LOST]
    world.availability.answered("commit")
    assert world.events == [events.DATABASE_LOST, events.DATABASE_RECOVERED]


def test_conflicts_with_success_between_them_are_never_an_outage(world: World) -> None:
    """Each job counts for itself."""
    for _ in range(10):
        world.availability.lost("commit", CONFLICT)
        world.now += CONFLICT_IS_OUTAGE_AFTER / 2
        world.availability.answered("claim")
        world.availability.answered("commit")
    assert world.events == []

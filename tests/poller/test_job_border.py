"""What a job raises ends at its border."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import LogCapture

from monitor.availability import Availability
from monitor.errors import StoreUnavailable
from monitor.job_border import Attempt, JobBorder, notify
from tests.poller.world import Recorded


@dataclass
class Bordered:
    """A border, and what it told."""

    metrics: Recorded = field(default_factory=Recorded)
    logs: LogCapture = field(default_factory=LogCapture)

    def __post_init__(self) -> None:
        """Begin to log."""
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.logs])
        self.border = JobBorder(Availability(self.metrics, log), self.metrics, log)

    async def run(self, job: str, error: BaseException | None = None, target: str | None = None) -> Attempt:
        """Run a job that raises this error."""
        attempt = self.border(job, target=target)
        async with attempt:
            if error is not None:
                raise error
        return attempt


@pytest.fixture
def bordered() -> Bordered:
    """Give a border."""
    return Bordered()


async def test_a_crash_is_logged_counted_and_shown_until_the_job_works_again(bordered: Bordered) -> None:
    """It is not raised, and names its exception's type but not its text."""
    attempt = await bordered.run("evaluate", ZeroDivisionError("a user's data"))
    assert not attempt.succeeded
    assert [(each["event"], each["job"]) for each in bordered.logs.entries] == [("job.crashed", "evaluate")]
    assert bordered.metrics.of("job_crashed") == [("evaluate",)]
    assert bordered.border.failing() == {"evaluate": "crashed: ZeroDivisionError"}
    assert (await bordered.run("evaluate")).succeeded
    assert bordered.border.failing() == {}


async def test_a_lost_database_is_no_crash(bordered: Bordered) -> None:
    """It is one line when it is lost and one when it is back."""
    assert (await bordered.run("claim", StoreUnavailable("away"))).is_database_lost
    assert bordered.metrics.of("job_crashed") == []
    await bordered.run("claim")
    assert [each["event"] for each in bordered.logs.entries] == ["database.lost", "database.recovered"]


async def test_work_that_the_database_refuses_is_not_ready(bordered: Bordered) -> None:
    """A disk that is full answers every question and takes no commit."""
    await bordered.run("commit", StoreUnavailable("disk full"))
    await bordered.run("claim")
    assert bordered.border.failing() == {"commit": "disk full"}
    await bordered.run("commit")
    assert bordered.border.failing() == {}


async def test_a_border_keeps_what_is_not_awaited_too(bordered: Bordered) -> None:
    """For work inside a callback of a library."""
    with bordered.border("certificate"):
        raise ZeroDivisionError
    assert bordered.metrics.of("job_crashed") == [("certificate",)]


async def test_an_outage_does_not_make_up_for_a_crash(bordered: Bordered) -> None:
    """Only a round that succeeds does."""
    await bordered.run("commit", ZeroDivisionError())
    await bordered.run("commit", StoreUnavailable("away"))
    assert set(bordered.border.failing()) == {"commit"}


async def test_a_crash_of_one_target_is_not_made_up_for_by_another(bordered: Bordered) -> None:
    """The reason names the target."""
    await bordered.run("claim", ZeroDivisionError(), target="acme")
    await bordered.run("claim", target="other")
    assert bordered.border.failing() == {"claim": "target acme: crashed: ZeroDivisionError"}
    await bordered.run("claim", target="acme")
    assert bordered.border.failing() == {}


@pytest.mark.parametrize(("job", "ready"), [(notify("pager"), False), ("discover acme", True), ("prune", True)])
async def test_readiness_follows_the_jobs_that_every_process_needs(
    bordered: Bordered, job: str, *, ready: bool
) -> None:
    """A replica is not taken out of service because a slow job crashed; that is counted."""
    await bordered.run(job, ZeroDivisionError())
    assert bordered.metrics.of("job_crashed") == [(job,)]
    assert (not bordered.border.failing()) is ready


async def test_a_cancellation_passes_the_border(bordered: Bordered) -> None:
    """Whoever stops a job is not held up."""
    with pytest.raises(asyncio.CancelledError):
        await bordered.run("evaluate", asyncio.CancelledError())
    assert bordered.logs.entries == []

"""The parts that the daemon and a single poll share, built from the configuration."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.app.opening import clock
from monitor.app.policy import alert_policy
from monitor.app.privacy import external_user_id, log_user_id, stored
from monitor.availability import Availability
from monitor.core.judge import Cadence
from monitor.core.tally import Count, Key
from monitor.evaluator import Evaluator
from monitor.housekeeping import (
    CHECK_ABSENCES_EVERY,
    CROSS_CHECK_EVERY,
    PRIVACY_EVERY,
    PRUNE_EVERY,
    PrivacyMode,
    PrivacyRewriting,
    Pruning,
    Retention,
    TargetJobs,
)
from monitor.job_border import JobBorder
from monitor.junction import JunctionClient
from monitor.pacing import Pacer
from monitor.poller import Poller, PollerSettings, Target, TargetSettings
from monitor.poller.committer import Committer
from monitor.poller.report import Report
from monitor.ports import Subject
from monitor.tls import check_authorities
from monitor.turns import Job, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from monitor.config import Config
    from monitor.config import Target as TargetConfig
    from monitor.core.judge import Verdict
    from monitor.ports import Metrics, Store

COMMITTED_WITHIN: Final = 10.0
"""Seconds after its answer in which a poll is committed, or not at all."""
DISCOVER_RETRY: Final = timedelta(seconds=2)
"""A discovery that fails is tried again after this, then ever later: without a first one, nobody is polled."""
PRUNE_PAUSE: Final = 0.02
"""Seconds between two batches, so that pruning does not crowd out polls."""


def junction(config: Config, target: TargetConfig) -> JunctionClient:
    """Return the client of one target; it is to be closed.

    Raises:
        ConfigurationError: the certificates to verify with cannot be read.
    """
    check_authorities()
    return JunctionClient(
        base_url=target.url,
        api_key=target.key,
        timeout=config.poll.timeout,
        max_body_bytes=config.poll.max_body_bytes,
        concurrency=config.poll.concurrency,
        external_user_id=external_user_id(config.privacy),
        proxy=target.proxy.reveal() if target.proxy else None,
        ca_file=target.ca_file,
    )


def evaluator(config: Config, store: Store, metrics: Metrics, log: FilteringBoundLogger) -> Evaluator:
    """Return what decides on alerts."""
    return Evaluator(
        alerts=store.alerts,
        policy=alert_policy(config),
        sinks=config.alerts.sink_names,
        metrics=metrics,
        log=log,
        clock=clock,
        user_id=log_user_id(config.privacy),
    )


class Parts:
    """One process's targets and poller around an open store."""

    def __init__(
        self,
        config: Config,
        store: Store,
        metrics: Metrics,
        log: FilteringBoundLogger,
        on_commit: Callable[[Sequence[Verdict]], None],
    ) -> None:
        self._config = config
        self._store = store
        self._log = log
        self._misplaced_until: float | None = None
        """On the monotonic clock; users may be due later than they should be, and till then become so."""
        self.availability = Availability(metrics, log)
        self.border = JobBorder(self.availability, metrics, log)
        self.turns = Turns(store.upkeep, border=self.border, clock=clock)
        self.targets = {
            name: Target(
                TargetSettings(
                    name=name,
                    max_requests_per_second=target.max_requests_per_second,
                    cadence=Cadence(
                        interval=config.poll.interval,
                        gone_interval=config.poll.gone_interval,
                        believe_absence_after=config.poll.believe_absence_after,
                    ),
                ),
                junction(config, target),
                metrics,
                log,
            )
            for name, target in config.require_targets().items()
        }
        self.poller = Poller(
            targets=self.targets,
            polls=store.polls,
            committer=Committer(
                polls=store.polls,
                metrics=metrics,
                report=Report(metrics, log, log_user_id(config.privacy)),
                clock=clock,
            ),
            settings=PollerSettings(concurrency=config.poll.concurrency, timeout=config.poll.timeout),
            border=self.border,
            metrics=metrics,
            log=log,
            clock=clock,
            on_commit=on_commit,
        )

    def jobs(self) -> list[Job]:
        """Return what recurs beside polling and runs on one replica at a time."""
        each_target = [job for name, target in self._config.require_targets().items() for job in self._of(name, target)]
        return [
            *each_target,
            Job(name="prune", every=PRUNE_EVERY, work=self._pruning().prune),
            Job(name="privacy", every=PRIVACY_EVERY, work=self._privacy_rewriting().rewrite),
        ]

    def _of(self, name: str, target: TargetConfig) -> Iterator[Job]:
        rate, polls = target.max_requests_per_second, self._store.polls
        jobs = TargetJobs(
            target=name,
            junction=self.targets[name].junction,
            pacer=Pacer(name, rate=rate, polls=polls, clock=clock),
            cohort=self._store.cohort,
            upkeep=self._store.upkeep,
            views=self._store.views,
            log=self._log,
            clock=clock,
        )
        yield Job(name=f"check absences {name}", every=CHECK_ABSENCES_EVERY, work=jobs.check_absences)
        yield Job(name=f"cross-check {name}", every=CROSS_CHECK_EVERY, work=jobs.cross_check)
        if target.discover:
            yield Job(
                name=f"discover {name}",
                every=target.discover_interval,
                work=jobs.discover,
                first_retry=DISCOVER_RETRY,
            )

    def _pruning(self) -> Pruning:
        kept = self._config.retention
        return Pruning(
            upkeep=self._store.upkeep,
            retention=Retention(snapshots=kept.snapshots, transitions=kept.transitions),
            sinks=self._config.alerts.sink_names,
            log=self._log,
            clock=clock,
            pause=partial(asyncio.sleep, PRUNE_PAUSE),
        )

    def _privacy_rewriting(self) -> PrivacyRewriting:
        wanted = self._config.privacy
        modes = {Subject.EXTERNAL_USER_ID: wanted.external_user_id, Subject.CLIENT_USER_ID: wanted.client_user_id}
        return PrivacyRewriting(
            personal=self._store.personal,
            modes={subject: PrivacyMode(mode=mode, hide=stored(wanted, mode)) for subject, mode in modes.items()},
            log=self._log,
            clock=clock,
            pause=partial(asyncio.sleep, PRUNE_PAUSE),
        )

    async def clock_stepped(self, seconds: float) -> None:
        """Note that the time of day was set; where that was back, nobody is due for that much longer."""
        self._log.warning(events.CLOCK_STEPPED, seconds=round(seconds, 3))
        # Polls in hand are still committed with due times of before.
        self._misplaced_until = time.monotonic() + self._config.poll.timeout.total_seconds() + COMMITTED_WITHIN
        await self.size_up()

    async def size_up(self) -> None:
        """Fit the interval of each target to its cohort, and bring forward who is due later than that."""
        async with self.border("size-up"):
            counts = await self._store.views.counts()
            for name, target in self.targets.items():
                users = counts.get(Key(name, Count.USERS, "active"), 0)
                if target.size_up(users) or self._misplaced_until is not None:
                    await self.bring_forward(target)
            if self._misplaced_until is not None and time.monotonic() > self._misplaced_until:
                self._misplaced_until = None

    async def bring_forward(self, target: Target) -> None:
        """Give users that are due later than the interval their place in it."""
        await self._store.polls.bring_forward(target.name, cadence=target.cadence, now=clock())

    async def aclose(self) -> None:
        """Close the clients."""
        for each in self.targets.values():
            await each.junction.aclose()

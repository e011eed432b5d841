"""The parts that the daemon and a single poll share, built from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.app.opening import clock
from monitor.app.privacy import external_user_id, log_user_id
from monitor.availability import Availability
from monitor.core.alerting import Policy, Severity
from monitor.core.judge import Cadence
from monitor.junction import JunctionClient
from monitor.poller import Poller, PollerSettings, Target, TargetSettings
from monitor.poller.committer import Committer
from monitor.poller.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from monitor.config import Config
    from monitor.config import Target as TargetConfig
    from monitor.core.judge import Verdict
    from monitor.ports import Metrics, Store


def junction(config: Config, target: TargetConfig) -> JunctionClient:
    """Return the client of one target; it is to be closed."""
    return JunctionClient(
        base_url=target.url,
        api_key=target.key,
        timeout=config.poll.timeout,
        max_body_bytes=config.poll.max_body_bytes,
        concurrency=config.poll.concurrency,
        external_user_id=external_user_id(config.privacy),
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
        self.availability = Availability(metrics, log)
        self.targets = {
            name: Target(
                TargetSettings(name=name, max_requests_per_second=target.max_requests_per_second),
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
                policy=Policy(severities={each: Severity(word) for each, word in config.alerts.severities.items()}),
                cadence=Cadence(interval=config.poll.interval, gone_interval=config.poll.gone_interval),
                metrics=metrics,
                report=Report(metrics, log, log_user_id(config.privacy)),
                clock=clock,
            ),
            settings=PollerSettings(concurrency=config.poll.concurrency, timeout=config.poll.timeout),
            availability=self.availability,
            log=log,
            clock=clock,
            on_commit=on_commit,
        )

    async def aclose(self) -> None:
        """Close the clients."""
        for each in self.targets.values():
            await each.junction.aclose()

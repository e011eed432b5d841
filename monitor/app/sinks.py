"""The sinks and their loops, built from the configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor import logs
from monitor.app.opening import clock
from monitor.app.privacy import sink_user_id
from monitor.config import WebhookSink as WebhookConfig
from monitor.core.telling import Telling
from monitor.delivery import Courier, Health, Resend, Rules
from monitor.sinks import AlertmanagerSink, LogSink, WebhookSink
from monitor.turns import Job

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from monitor.config import AlertmanagerSink as AlertmanagerConfig
    from monitor.config import Config
    from monitor.job_border import JobBorder
    from monitor.ports import Metrics, Outbox, Sink, SummarySink

LOG_RULES: Final = Rules(at_once=200, lease=timedelta(seconds=30))
AT_ONCE_WEBHOOK: Final = 8
AT_ONCE_ALERTMANAGER: Final = 100
SLACK: Final = timedelta(seconds=20)
"""By so much a lease is longer than the requests it is for."""


class Sinks:
    """One process's sinks around an open outbox."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        metrics: Metrics,
        border: JobBorder,
        log: FilteringBoundLogger,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._metrics = metrics
        self._border = border
        self._log = log
        self._all: list[Sink] = []
        self.jobs: list[Job] = []
        self.couriers = [self._log_courier(), *(self._of(name) for name in config.alerts.sinks)]

    async def aclose(self) -> None:
        """Close what they hold open."""
        for each in self._all:
            await each.aclose()

    def _log_courier(self) -> Courier:
        alert_log = logs.AlertLog(self._config.log.format, telling=self._telling(None))
        return self._courier("log", LogSink(alert_log), LOG_RULES, Health("log", self._log))

    def _of(self, name: str) -> Courier:
        config, health = self._config.alerts.sinks[name], Health(name, self._log)
        if isinstance(config, WebhookConfig):
            return self._courier(name, self._webhook(config), _webhook_rules(config), health)
        sink = self._alertmanager(name, config)
        self.jobs.append(Job(name=f"resend {name}", every=config.resend_every, work=Resend(sink, health).run))
        return self._courier(name, sink, _alertmanager_rules(config), health)

    def _webhook(self, config: WebhookConfig) -> WebhookSink:
        return WebhookSink(
            url=config.url,
            secrets=config.keys,
            timeout=config.timeout,
            telling=self._telling(config.user_id),
            clock=clock,
        )

    def _alertmanager(self, name: str, config: AlertmanagerConfig) -> AlertmanagerSink:
        return AlertmanagerSink(
            name=name,
            urls=config.urls,
            bearer_token=config.key,
            timeout=config.timeout,
            resend_every=config.resend_every,
            telling=self._telling(config.user_id),
            outbox=self._outbox,
            clock=clock,
        )

    def _telling(self, user_id: str | None) -> Telling:
        return Telling(
            user_id=sink_user_id(self._config.privacy, user_id),
            runbook_base_url=self._config.alerts.runbook_base_url,
        )

    def _courier(self, name: str, sink: Sink | SummarySink, rules: Rules, health: Health) -> Courier:
        self._all.append(sink)
        return Courier(
            name,
            sink,
            rules,
            outbox=self._outbox,
            health=health,
            metrics=self._metrics,
            border=self._border,
            log=self._log,
            clock=clock,
        )


def _webhook_rules(config: WebhookConfig) -> Rules:
    return Rules(
        at_once=AT_ONCE_WEBHOOK,
        lease=config.timeout + SLACK,
        give_up_after=config.give_up_after,
        max_per_minute=config.max_per_minute,
    )


def _alertmanager_rules(config: AlertmanagerConfig) -> Rules:
    # Twice: where all together are refused, each is sent in its own.
    return Rules(at_once=AT_ONCE_ALERTMANAGER, lease=2 * config.timeout + SLACK, give_up_after=config.give_up_after)

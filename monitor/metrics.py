"""The metrics of the programme itself: all of them, defined here, on a registry that is passed in.

Domain series are views of the database and stand in :mod:`monitor.exporter`.
"""

from __future__ import annotations

import platform
from collections import Counter as Counted
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram, ProcessCollector

from monitor import __version__
from monitor.core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from prometheus_client import CollectorRegistry

    from monitor.ports import Poll

REQUEST_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
LAG_SECONDS: Final = (0.1, 0.5, 1, 2.5, 5, 15, 30, 60, 300, 900, 1800, 3600)
COMMIT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
DELAY_SECONDS: Final = (10, 30, 60, 300, 900, 1800, 3600, 2 * 3600, 6 * 3600, 86400)
RECOVERY_SECONDS: Final = (60, 300, 900, 3600, 6 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400)
CODES: Final = ("200", "401", "403", "404", "422", "429", "500", "502", "503", "504", "timeout", "connect", "tls")
"""The codes that rules look for: their counters start at 0."""
DELIVERY_OUTCOMES: Final = ("delivered", "failed", "rolled_up", "gave_up")
JOBS: Final = ("claim", "commit", "poll", "evaluate", "notify", "size-up", "prune", "http server", "clock watch", "log")
"""Jobs of every daemon; those of targets and sinks come with them."""
CLOCK: Final = "by this process's own clock"


class ProgrammeMetrics:
    """Counts and times what this process does; the children of known targets and sinks are made beforehand."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        targets: Sequence[str],
        sinks: Sequence[str] = ("log",),
        revision: str = "unknown",
    ) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        target = ("target",)
        self._polls = Counter(
            "junction_monitor_polls_total", "Polls by outcome.", ("target", "outcome"), registry=registry
        )
        self._duration = Histogram(
            "junction_monitor_poll_duration_seconds",
            f"One request in seconds, from start to last byte, {CLOCK}.",
            target,
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._lag = Histogram(
            "junction_monitor_poll_lag_seconds",
            f"Start of a poll minus its due time in seconds, {CLOCK}.",
            target,
            buckets=LAG_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "junction_monitor_requests_total",
            "Requests by HTTP status, or by timeout, connect or tls where no answer came.",
            ("target", "code"),
            registry=registry,
        )
        self._malformed = Counter(
            "junction_monitor_malformed_rows_total",
            "Rows of answers that could not be read.",
            target,
            registry=registry,
        )
        self._delay = Histogram(
            "junction_connection_detection_delay_seconds",
            f"From the vendor's errored_at to our observation in seconds, {CLOCK}; never of a first snapshot.",
            target,
            buckets=DELAY_SECONDS,
            registry=registry,
        )
        self._recovery = Histogram(
            "junction_connection_recovery_seconds",
            f"From into error to connected in seconds, {CLOCK}.",
            target,
            buckets=RECOVERY_SECONDS,
            registry=registry,
        )
        self._commit = Histogram(
            "junction_monitor_commit_duration_seconds",
            f"One commit of many polls in seconds, {CLOCK}.",
            buckets=COMMIT_SECONDS,
            registry=registry,
        )
        self._up = Gauge(
            "junction_monitor_target_up",
            "1 while the target answers us, 0 while it rejects us or is out of reach.",
            target,
            registry=registry,
        )
        self._throttle = Gauge(
            "junction_monitor_throttle_factor",
            "Share of the configured request rate that holds now; 1 is all of it.",
            target,
            registry=registry,
        )
        self._success = Gauge(
            "junction_monitor_last_success_timestamp_seconds",
            f"Unix time of the newest good snapshot that this process committed, {CLOCK}.",
            target,
            registry=registry,
        )
        self._deliveries = Counter(
            "junction_monitor_alert_deliveries_total",
            "Alert notices handed to a sink, by outcome.",
            ("sink", "outcome"),
            registry=registry,
        )
        self._crashes = Counter(
            "junction_monitor_jobs_crashed_total",
            "Unexpected failures of the monitor's own jobs.",
            ("job",),
            registry=registry,
        )
        self._database = Gauge(
            "junction_monitor_database_up", "1 while the database does what it is asked.", registry=registry
        )
        build = Gauge(
            "junction_monitor_build_info",
            "1; what runs stands in the labels.",
            ("version", "revision", "python"),
            registry=registry,
        )
        build.labels(__version__, revision, platform.python_version()).set(1)
        self._prepare(targets, sinks)

    def _prepare(self, targets: Sequence[str], sinks: Sequence[str]) -> None:
        """Make the series that are known in advance, so that a rule sees the first event."""
        for name in targets:
            self._poll_children(name)
            for outcome in Outcome:
                self._polls.labels(name, outcome.value)
            for code in CODES:
                self._requests.labels(name, code)
            for each in (self._malformed, self._delay, self._recovery):
                each.labels(name)
            for job in ("cross-check", "discover"):
                self._crashes.labels(f"{job} {name}")
            self._up.labels(name).set(1)
            self._throttle.labels(name).set(1)
        for job in JOBS:
            self._crashes.labels(job)
        for sink in sinks:
            self._crashes.labels(f"notify {sink}")
            for each_outcome in DELIVERY_OUTCOMES:
                self._deliveries.labels(sink, each_outcome)

    def polled(self, target: str, polls: Sequence[Poll]) -> None:
        """Polls of a target ended; they come by the hundred, so the counters move once for each value."""
        for outcome, count in Counted(each.outcome for each in polls).items():
            self._polls.labels(target, outcome.value).inc(count)
        for code, count in Counted(each.code for each in polls).items():
            self._requests.labels(target, code).inc(count)
        took, lag = self._poll_children(target)
        for each in polls:
            took.observe(each.took)
            lag.observe(each.lag)

    def _poll_children(self, target: str) -> tuple[Histogram, Histogram]:
        return self._duration.labels(target), self._lag.labels(target)

    def malformed_rows(self, target: str, count: int) -> None:
        """Rows of an answer could not be read."""
        self._malformed.labels(target).inc(count)

    def detected(self, target: str, delay_seconds: float) -> None:
        """An error was observed this long after the vendor says that it began."""
        self._delay.labels(target).observe(delay_seconds)

    def recovered(self, target: str, seconds: float) -> None:
        """A connection left ``error`` for ``connected`` after this long."""
        self._recovery.labels(target).observe(seconds)

    def committed(self, seconds: float) -> None:
        """One commit took this long."""
        self._commit.observe(seconds)

    def delivered(self, sink: str, outcome: str, count: int) -> None:
        """Notices were handed to a sink, or were not."""
        self._deliveries.labels(sink, outcome).inc(count)

    def target_up(self, target: str, up: bool) -> None:
        """The target answers us, or rejects us or is out of reach."""
        self._up.labels(target).set(int(up))

    def throttle_factor(self, target: str, factor: float) -> None:
        """The share of the configured rate that holds now."""
        self._throttle.labels(target).set(factor)

    def succeeded(self, target: str, at: datetime) -> None:
        """A good snapshot was committed."""
        self._success.labels(target).set(at.timestamp())

    def database_up(self, up: bool) -> None:
        """The database answers, or does not."""
        self._database.set(int(up))

    def job_crashed(self, job: str) -> None:
        """A job ended by an exception that nobody expected."""
        self._crashes.labels(job).inc()

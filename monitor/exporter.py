"""What a scrape shows: views of the database, and the programme's own metrics.

The figures are fetched just before they are rendered, so every replica shows the same. While the database does not
answer, the domain series are absent rather than wrong.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.core.cadence import needed_rate
from monitor.core.model import ERROR, OBSERVED, UNSPECIFIED, Outcome
from monitor.core.tally import Count
from monitor.errors import StoreError
from monitor.series import OTHER, SeriesMemory, known_transitions, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from monitor.core.tally import Key
    from monitor.metrics import ProgrammeMetrics
    from monitor.ports import EvaluationBacklog, Freshness, Store

WITHIN: Final = 2.0
"""Seconds that the database has for a scrape."""
REPORTED_WITHIN: Final = timedelta(minutes=15)
"""An older total of the vendor's is no longer shown: it is asked for every 5 minutes."""
UNSEEN_REASONS: Final = tuple(outcome.value for outcome in Outcome if outcome not in OBSERVED)
USER_STATES: Final = ("active", "paused", "gone")

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFigures:
    """What the database says at one moment.

    ``undelivered`` is the number of alert notices that wait by configured sink, ``reported`` the vendor's own total by
    target, ``backlog`` what is not yet evaluated.
    """

    counts: Mapping[Key, int]
    freshness: Mapping[str, Freshness]
    undelivered: Mapping[str, int]
    reported: Mapping[str, int]
    backlog: EvaluationBacklog


class Exporter:
    """Renders a scrape."""

    def __init__(
        self,
        *,
        metrics: ProgrammeMetrics,
        store: Store,
        rates: Mapping[str, float],
        interval: timedelta,
        clock: Callable[[], datetime],
        sinks: Sequence[str] = ("log",),
    ) -> None:
        """Keep the settings.

        Args:
            metrics: the programme's own.
            store: what the domain's figures come from.
            rates: the configured requests per second, by target.
            interval: the configured one.
            clock: the time of day.
            sinks: what alerts are told to, by name.
        """
        self._sinks = sinks
        self._metrics = metrics
        self._store = store
        self._rates = rates
        self._interval = interval
        self._clock = clock
        self._memory = SeriesMemory()

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition in the format that ``accept`` asks for, and its content type."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Programme(self._metrics.registry))
        try:
            async with asyncio.timeout(WITHIN):
                figures = await self._fetch()
        except (StoreError, TimeoutError):
            self._metrics.database_up(up=False)
        else:
            registry.register(DomainCollector(figures, self._rates, self._interval, self._memory))
        encode, content_type = exposition.choose_encoder(accept)
        return encode(registry), content_type

    async def _fetch(self) -> DomainFigures:
        views, now = self._store.views, self._clock()
        return DomainFigures(
            counts=await views.counts(),
            freshness={name: await views.freshness(name, interval=self._interval, now=now) for name in self._rates},
            undelivered=await self._undelivered(),
            reported=await views.reported(since=now - REPORTED_WITHIN),
            backlog=await views.evaluation_backlog(),
        )

    async def _undelivered(self) -> Mapping[str, int]:
        """Return how many notices wait for each configured sink; of others nobody would ever take them away."""
        waiting = await self._store.outbox.undelivered()
        return {sink: waiting.get(sink, 0) for sink in self._sinks}


class _Programme(Collector):
    """The programme's registry without the creation times, which in text are mere noise."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [each for each in family.samples if not each.name.endswith("_created")]
            yield family


class DomainCollector(Collector):
    """Turns the figures of one moment into families."""

    def __init__(
        self,
        figures: DomainFigures,
        rates: Mapping[str, float],
        interval: timedelta,
        memory: SeriesMemory | None = None,
    ) -> None:
        self._figures = figures
        self._rates_allowed = rates
        self._interval = interval
        self._memory = memory or SeriesMemory()

    def collect(self) -> Iterator[Metric]:
        """Yield the domain's families."""
        connections = self._sums(Count.CONNECTIONS)
        errors = {key: amount for key, amount in connections.items() if key[2] == ERROR}
        yield self._shown(
            "junction_connections", "Connections now, by the vendor's status.", ("provider", "status"),
            summed(connections, lambda key: key[:3]),
        )  # fmt: skip
        yield self._shown(
            "junction_connection_errors", "Connections in error now, by error type.", ("provider", "error_type"),
            summed(errors, lambda key: (key[0], key[1], key[3] or UNSPECIFIED)),
        )  # fmt: skip
        yield self._transitions({(key[0], key[1]) for key in connections})
        yield self._shown(
            "junction_resources_unavailable", "Resources that connections cannot give now.", ("provider", "resource"),
            summed(self._sums(Count.RESOURCES_UNAVAILABLE), lambda key: key[:3]),
        )  # fmt: skip
        yield self._shown(
            "junction_alerts", "Alerts firing now.", ("provider", "severity"),
            summed(self._sums(Count.ALERTS), lambda key: key[:3]),
        )  # fmt: skip
        yield self._shown(
            "junction_incidents", "Incidents open now.", ("provider", "error_type"),
            summed(self._sums(Count.INCIDENTS), lambda key: key[:3]),
        )  # fmt: skip
        states: dict[Labels, float] = {(target, state): 0 for target in self._rates_allowed for state in USER_STATES}
        states |= {(key[0], key[1]): amount for key, amount in self._sums(Count.USERS).items()}
        yield _gauge("junction_users", "Users of the cohort by state.", ("state",), states)
        unseen: dict[Labels, float] = {(name, reason): 0 for name in self._rates_allowed for reason in UNSEEN_REASONS}
        unseen |= {(key[0], key[1]): amount for key, amount in self._sums(Count.UNSEEN).items()}
        yield _gauge(
            "junction_monitor_unseen_users",
            "Active users whose last two polls or more returned nothing, by how the last one ended.",
            ("reason",), unseen,
        )  # fmt: skip
        yield from self._fresh()
        yield from self._rates(states)
        yield _gauge(
            "junction_reported_errored_connections",
            "The vendor's own total of connections in error, asked every 5 minutes; absent while it cannot be had.", (),
            {(name,): errored for name, errored in self._figures.reported.items()},
        )  # fmt: skip
        waiting = GaugeMetricFamily(
            "junction_monitor_alerts_undelivered", "Alert notices that wait for a sink.", labels=("sink",)
        )
        for sink, count in self._figures.undelivered.items():
            waiting.add_metric((sink,), count)
        yield waiting
        yield from self._undecided()

    def _undecided(self) -> Iterator[Metric]:
        backlog = self._figures.backlog
        yield GaugeMetricFamily(
            "junction_monitor_undecided_transitions",
            "Transitions that are not yet evaluated, those set aside included.",
            value=backlog.entries,
        )
        oldest = GaugeMetricFamily(
            "junction_monitor_oldest_undecided_timestamp_seconds",
            "Unix time at which the oldest transition was observed that is not yet evaluated; absent without one.",
        )
        if backlog.oldest is not None:
            oldest.add_metric((), backlog.oldest.timestamp())
        yield oldest

    def _fresh(self) -> Iterator[Metric]:
        by_target = self._figures.freshness.items()
        yield _gauge(
            "junction_users_fresh", "Active users whose latest good snapshot is at most two intervals old.", (),
            {(name,): each.fresh for name, each in by_target},
        )  # fmt: skip
        yield _gauge(
            "junction_oldest_snapshot_timestamp_seconds",
            "Unix time, by our own clock, of the latest good snapshot of the active user seen longest ago.", (),
            {(name,): each.oldest.timestamp() for name, each in by_target if each.oldest is not None},
        )  # fmt: skip
        yield _gauge(
            "junction_monitor_overdue_users", "Users due for more than one interval.", (),
            {(name,): each.overdue for name, each in by_target},
        )  # fmt: skip

    def _rates(self, states: Mapping[Labels, float]) -> Iterator[Metric]:
        yield _gauge(
            "junction_monitor_needed_requests_per_second",
            "Requests per second that it takes to poll every active user once in each interval.", (),
            {(name,): needed_rate(int(states[name, "active"]), self._interval) for name in self._rates_allowed},
        )  # fmt: skip
        yield _gauge(
            "junction_monitor_poll_interval_seconds",
            "Configured seconds in which every active user is polled once; rules measure delays against it.", (),
            dict.fromkeys(((name,) for name in self._rates_allowed), self._interval.total_seconds()),
        )  # fmt: skip
        yield _gauge(
            "junction_monitor_max_requests_per_second",
            "Requests per second that are configured for the target, of all replicas together.", (),
            {(name,): rate for name, rate in self._rates_allowed.items()},
        )  # fmt: skip

    def _sums(self, count: Count) -> dict[Labels, float]:
        """Return the amounts of one count by target and labels, vendor's words made fit for labels."""
        rows: dict[Labels, int] = {
            (key.target, key.a, key.b, key.c): amount
            for key, amount in self._figures.counts.items()
            if key.count is count
        }
        return self._memory.relabelled(count.value, rows)

    def _shown(self, name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        """Return a family whose series read 0 when what they count is gone."""
        return _gauge(name, text, labels, self._memory.gauges(name, values))

    def _transitions(self, providers: Iterable[tuple[str, str]]) -> Metric:
        name, labels = "junction_connection_transitions", ("provider", "kind", "error_type")
        values = known_transitions(self._rates_allowed, providers) | self._sums(Count.TRANSITIONS)
        return _counter(name, "Transitions ever stored.", labels, self._memory.totals(name, values, _as_other))


def _as_other(labels: Labels) -> Labels:
    """Return the labels under which transitions are counted whose row was taken away."""
    target, provider, kind, error_type = labels
    return target, provider and OTHER, kind, error_type and OTHER


def _gauge(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("target", *labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=("target", *labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family

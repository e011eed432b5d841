from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.core.model import Outcome
from monitor.core.tally import Count, Key
from monitor.errors import StoreUnavailable
from monitor.exporter import DomainCollector, DomainFigures, Exporter
from monitor.metrics import ProgrammeMetrics
from monitor.ports import EvaluationBacklog, Freshness, ListedUser, Poll
from monitor.store.memory import MemoryStore
from tests.store.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.metrics_core import Metric

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
T: Final = frozenset({"target"})
CONTRACT: Final = {
    "junction_connections": ("gauge", T | {"provider", "status"}),
    "junction_connection_errors": ("gauge", T | {"provider", "error_type"}),
    "junction_connection_transitions": ("counter", T | {"provider", "kind", "error_type"}),
    "junction_resources_unavailable": ("gauge", T | {"provider", "resource"}),
    "junction_users": ("gauge", T | {"state"}),
    "junction_alerts": ("gauge", T | {"provider", "severity"}),
    "junction_incidents": ("gauge", T | {"provider", "error_type"}),
    "junction_connection_detection_delay_seconds": ("histogram", T),
    "junction_connection_recovery_seconds": ("histogram", T),
    "junction_users_fresh": ("gauge", T),
    "junction_oldest_snapshot_timestamp_seconds": ("gauge", T),
    "junction_reported_errored_connections": ("gauge", T),
    "junction_monitor_polls": ("counter", T | {"outcome"}),
    "junction_monitor_poll_duration_seconds": ("histogram", T),
    "junction_monitor_poll_lag_seconds": ("histogram", T),
    "junction_monitor_overdue_users": ("gauge", T),
    "junction_monitor_unseen_users": ("gauge", T | {"reason"}),
    "junction_monitor_target_up": ("gauge", T),
    "junction_monitor_requests": ("counter", T | {"code"}),
    "junction_monitor_throttle_factor": ("gauge", T),
    "junction_monitor_malformed_rows": ("counter", T),
    "junction_monitor_undecided_transitions": ("gauge", frozenset()),
    "junction_monitor_oldest_undecided_timestamp_seconds": ("gauge", frozenset()),
    "junction_monitor_jobs_crashed": ("counter", frozenset({"job"})),
    "junction_monitor_alert_deliveries": ("counter", frozenset({"sink", "outcome"})),
    "junction_monitor_alerts_undelivered": ("gauge", frozenset({"sink"})),
    "junction_monitor_database_up": ("gauge", frozenset()),
    "junction_monitor_commit_duration_seconds": ("histogram", frozenset()),
    "junction_monitor_last_success_timestamp_seconds": ("gauge", T),
    "junction_monitor_build_info": ("gauge", frozenset({"version", "revision", "python"})),
}
RATES: Final = {"acme": 50.0}
INTERVAL: Final = timedelta(minutes=15)
LIVELY: Final = {
    Key("acme", Count.CONNECTIONS, "fitbit", "connected"): 7,
    Key("acme", Count.CONNECTIONS, "fitbit", "error", "unspecified"): 2,
    Key("acme", Count.CONNECTIONS, "oura", "error", "unknown"): 0,
    Key("acme", Count.TRANSITIONS, "fitbit", "errored", "unspecified"): 5,
    Key("acme", Count.RESOURCES_UNAVAILABLE, "fitbit", "sleep"): 1,
    Key("acme", Count.USERS, "active"): 3,
    Key("acme", Count.ALERTS, "fitbit", "warning"): 2,
    Key("acme", Count.INCIDENTS, "fitbit", "unspecified"): 1,
}


def figures(counts: Mapping[Key, int]) -> DomainFigures:
    """Return figures with these counts."""
    fresh = Freshness(fresh=3, overdue=1, oldest=NOW, latest=NOW)
    return DomainFigures(
        counts=counts,
        freshness={"acme": fresh},
        undelivered={"log": 4},
        reported={"acme": 5},
        backlog=EvaluationBacklog(entries=3, oldest=NOW),
    )


def collected(counts: Mapping[Key, int]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of every family by its labels other than the target."""
    families = DomainCollector(figures(counts), RATES, INTERVAL).collect()
    return {
        each.name: {tuple(v for k, v in s.labels.items() if k != "target"): s.value for s in each.samples}
        for each in families
    }


def busy(registry: CollectorRegistry) -> ProgrammeMetrics:
    """Return the programme's metrics after something of everything happened."""
    metrics = ProgrammeMetrics(registry, targets=["acme"])
    metrics.polled("acme", [Poll(Outcome.CHANGED, "200", 0.2, 1.0)])
    metrics.detected("acme", 30)
    metrics.recovered("acme", 3600)
    metrics.committed(0.01)
    metrics.succeeded("acme", NOW)
    metrics.database_up(up=True)
    return metrics


class Unanswering(MemoryStore):
    """A store that is out of reach."""

    @property
    def views(self) -> MemoryStore:  # type: ignore[override]
        """Fail."""
        raise StoreUnavailable("gone")


async def scrape(store: MemoryStore, accept: str = "") -> str:
    """Return what a scrape of a lively daemon shows."""
    exporter = Exporter(
        metrics=busy(CollectorRegistry()),
        store=store,
        rates=RATES,
        interval=INTERVAL,
        clock=lambda: NOW,
    )
    body, _ = await exporter.render(accept)
    return body.decode()


def shapes(families: list[Metric]) -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and labels by name."""
    return {each.name: (each.type, frozenset(k for s in each.samples for k in s.labels) - {"le"}) for each in families}


def test_the_exported_metrics_are_those_of_the_contract() -> None:
    """Names, types and labels agree both ways."""
    registry = CollectorRegistry()
    programme = busy(registry)
    families = [*programme.registry.collect(), *DomainCollector(figures(LIVELY), RATES, INTERVAL).collect()]
    assert shapes([each for each in families if not each.name.startswith("process_")]) == CONTRACT | {
        "junction_monitor_requests": ("counter", T | {"code"}),
        "junction_monitor_poll_interval_seconds": ("gauge", T),
        "junction_monitor_needed_requests_per_second": ("gauge", T),
        "junction_monitor_max_requests_per_second": ("gauge", T),
        "junction_monitor_build_info": ("gauge", frozenset({"version", "revision", "python"})),
    }


def test_a_series_whose_last_connection_is_gone_reads_zero() -> None:
    """A rule sees the fall."""
    assert collected(LIVELY)["junction_connections"][("oura", "error")] == 0


def test_an_error_without_a_type_reads_unspecified() -> None:
    """A missing error type is named."""
    assert collected(LIVELY)["junction_connection_errors"][("fitbit", "unspecified")] == 2


def test_words_that_are_no_label_values_read_other_and_are_summed() -> None:
    """Vendor's words cannot break a dashboard."""
    odd = {Key("acme", Count.CONNECTIONS, word, "connected"): 1 for word in ("Fit Bit", "x" * 65, "Ünicode")}
    assert collected(odd)["junction_connections"] == {("other", "connected"): 3}


def test_the_process_is_measured_as_by_every_client() -> None:
    """Under the names that dashboards of Prometheus know."""
    found = {each.name for each in busy(CollectorRegistry()).registry.collect()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= found


def test_at_most_two_hundred_values_of_a_label_are_exported() -> None:
    """The rest is summed under other, and the most frequent are kept."""
    many = {Key("acme", Count.CONNECTIONS, f"p{number}", "connected"): number for number in range(1, 301)}
    values = collected(many)["junction_connections"]
    assert len(values) == 201
    assert values[("p300", "connected")] == 300
    assert values[("other", "connected")] == sum(range(1, 101))


def test_every_state_of_a_configured_target_is_there_from_the_start() -> None:
    """Zero series exist before the first user does."""
    assert collected({})["junction_users"] == {("active",): 0, ("paused",): 0, ("gone",): 0}


async def test_a_scrape_reads_the_store() -> None:
    """A registered user is counted."""
    store = MemoryStore()
    users = [ListedUser(user_id=UUID(int=1), client_user_id=None)]
    await store.cohort.register("acme", users, now=NOW, revive=True)
    samples = [each for family in parse_text(await scrape(store)) for each in family.samples]
    counted = {each.labels["state"]: each.value for each in samples if each.name == "junction_users"}
    assert counted == {"active": 1, "paused": 0, "gone": 0}


async def test_without_the_database_domain_series_are_absent_not_zero() -> None:
    """A scrape still answers, and says that the database does not."""
    text = await scrape(Unanswering())
    assert "junction_users{" not in text
    assert "junction_monitor_database_up 0.0" in text


async def test_both_formats_can_be_parsed() -> None:
    """Prometheus text and OpenMetrics, as it asks."""
    assert list(parse_text(await scrape(MemoryStore())))
    assert list(parse_openmetrics(await scrape(MemoryStore(), "application/openmetrics-text; version=1.0.0")))  # type: ignore[no-untyped-call]  # the library


async def test_no_creation_times_are_exported() -> None:
    """They double the series and nobody reads them."""
    assert "_created" not in await scrape(MemoryStore())


@pytest.mark.tools
def test_promtool_has_nothing_to_say() -> None:
    """The real linter of the exposition is content."""
    text = asyncio.run(scrape(MemoryStore()))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def test_every_configured_sink_has_its_series_from_the_start() -> None:
    """A rule sees the first notice that waits, and the first that was given up."""
    metrics = ProgrammeMetrics(CollectorRegistry(), targets=["acme"], sinks=["log", "pager"])
    exporter = Exporter(
        metrics=metrics, store=MemoryStore(), rates=RATES, interval=INTERVAL, clock=lambda: NOW, sinks=["log", "pager"]
    )
    shown = (await exporter.render(""))[0].decode()
    for sink in ("log", "pager"):
        assert f'junction_monitor_alerts_undelivered{{sink="{sink}"}} 0.0' in shown
        for outcome in ("delivered", "failed", "rolled_up", "gave_up"):
            assert f'junction_monitor_alert_deliveries_total{{outcome="{outcome}",sink="{sink}"}} 0.0' in shown


def test_what_is_not_evaluated_is_shown_with_its_age() -> None:
    """Without any there is no age, rather than an age of 0."""
    oldest = "junction_monitor_oldest_undecided_timestamp_seconds"
    assert collected(LIVELY)["junction_monitor_undecided_transitions"] == {(): 3}
    assert collected(LIVELY)[oldest] == {(): NOW.timestamp()}
    nothing = replace(figures(LIVELY), backlog=EvaluationBacklog(entries=0, oldest=None))
    families = {each.name: each.samples for each in DomainCollector(nothing, RATES, INTERVAL).collect()}
    assert [each.value for each in families["junction_monitor_undecided_transitions"]] == [0]
    assert families[oldest] == []


async def test_a_sink_that_is_not_configured_is_not_exported() -> None:
    """Nobody delivers what waits for it, and a rule would fire for ever."""
    teller = Teller()
    await teller.tell(1, sinks=["log", "removed"])
    metrics = ProgrammeMetrics(CollectorRegistry(), targets=["acme"])
    exporter = Exporter(metrics=metrics, store=teller.store, rates=RATES, interval=INTERVAL, clock=lambda: NOW)
    shown = (await exporter.render(""))[0].decode()
    assert 'junction_monitor_alerts_undelivered{sink="log"} 1.0' in shown
    assert "removed" not in shown

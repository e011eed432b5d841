from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.core.model import Outcome
from monitor.core.tally import Count, Key
from monitor.errors import StoreUnavailable
from monitor.exporter import DomainCollector, DomainFigures, Exporter
from monitor.metrics import ProgrammeMetrics
from monitor.ports import EvaluationBacklog, Freshness, ListedUser, Poll
from monitor.series import REMEMBERED, SeriesMemory
from monitor.store.memory import MemoryStore
from monitor.store.vocabulary import as_other
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


def collected(counts: Mapping[Key, int], memory: SeriesMemory | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of every family by its labels other than the target."""
    families = DomainCollector(figures(counts), RATES, INTERVAL, memory or SeriesMemory()).collect()
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
    families = [
        *programme.registry.collect(),
        *DomainCollector(figures(LIVELY), RATES, INTERVAL, SeriesMemory()).collect(),
    ]
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


def test_known_words_are_exported_before_invented_ones() -> None:
    """However often these are there."""
    invented = {Key("acme", Count.CONNECTIONS, "p", "error", f"e{number:03}"): 1000 for number in range(300)}
    known = {Key("acme", Count.CONNECTIONS, "p", "error", "token_refresh_failed"): 1}
    assert collected(invented | known)["junction_connection_errors"]["p", "token_refresh_failed"] == 1


def test_what_a_word_is_shown_as_never_changes() -> None:
    """A label that drops out of the most frequent ones would take its counter with it, and let other jump."""
    memory = SeriesMemory()
    before = {Key("acme", Count.TRANSITIONS, f"p{number}", "appeared"): number for number in range(1, 301)}
    after = {key: amount + (1000 if amount <= 100 else 0) for key, amount in before.items()}
    first = collected(before, memory)["junction_connection_transitions"]
    second = collected(after, memory)["junction_connection_transitions"]
    assert first.keys() == second.keys()
    assert all(second[labels] >= value for labels, value in first.items())
    assert second["other", "appeared", ""] - first["other", "appeared", ""] == 100_000


def test_a_gauge_whose_row_was_pruned_reads_zero() -> None:
    """For as long as the process lives, so that a rule sees the fall."""
    memory = SeriesMemory()
    gauges = ("junction_connections", "junction_connection_errors", "junction_alerts", "junction_incidents")
    before = collected(LIVELY, memory)
    after = collected({Key("acme", Count.USERS, "active"): 3}, memory)
    for name in (*gauges, "junction_resources_unavailable"):
        assert after[name] == dict.fromkeys(before[name], 0)


def test_gauges_at_zero_are_not_remembered_without_bound() -> None:
    """Words that come and go for ever make no scrape grow."""
    memory = SeriesMemory()
    for number in range(100):
        types = (f"e{number}_{each}" for each in range(2))
        rows = {Key("acme", Count.CONNECTIONS, f"p{each}", "error", word): 1 for word in types for each in range(50)}
        shown = collected(rows, memory)["junction_connection_errors"]
        assert all(shown[labels] for labels in list(shown)[-len(rows) :])
    assert len(shown) <= REMEMBERED + len(rows)


counts_of_transitions = st.dictionaries(
    st.builds(
        Key,
        st.just("acme"),
        st.just(Count.TRANSITIONS),
        st.sampled_from(["a", "b", "Odd", "other"]),
        st.just("errored"),
        st.sampled_from(["", "x", "other"]),
    ),
    st.integers(0, 9),
    max_size=8,
)


@given(steps=st.lists(st.tuples(counts_of_transitions, st.booleans()), min_size=1, max_size=12))
def test_running_totals_never_vanish_or_fall(steps: list[tuple[dict[Key, int], bool]]) -> None:
    """Whatever is added, and whichever rows move to other; together they are always what the rows are together."""
    memory, rows = SeriesMemory(), Counter[Key]()
    before: dict[tuple[str, ...], float] = {}
    for added, moves in steps:
        rows.update(added)
        if moves:
            moved = Counter[Key]()
            for key, amount in rows.items():
                moved[as_other(key)] += amount
            rows = moved
        shown = collected(rows, memory)["junction_connection_transitions"]
        assert all(shown[labels] >= value for labels, value in before.items())
        before = shown


def test_a_running_total_that_moved_to_other_is_still_shown_by_itself() -> None:
    """And is not counted twice: other does not jump, and the sum is right when the word comes again."""
    memory = SeriesMemory()
    gone, other = (Key("acme", Count.TRANSITIONS, word, "appeared") for word in ("gone", "other"))
    for rows, expected in (
        ({gone: 5}, {"gone": 5}),
        ({other: 5}, {"gone": 5, "other": 0}),
        ({other: 7}, {"gone": 5, "other": 2}),
        ({other: 7, gone: 1}, {"gone": 6, "other": 2}),
        ({other: 8}, {"gone": 6, "other": 2}),
    ):
        shown = collected(rows, memory)["junction_connection_transitions"]
        assert {
            labels[0]: value for labels, value in shown.items() if labels[0] and labels[1] == "appeared"
        } == expected


def test_transitions_that_can_be_named_before_they_happen_start_at_zero() -> None:
    """A rule sees the first error of each known type at each provider that is there."""
    shown = collected({Key("acme", Count.CONNECTIONS, "fitbit", "connected"): 1})["junction_connection_transitions"]
    for labels in (
        ("", "user_gone", ""),
        ("fitbit", "errored", "token_refresh_failed"),
        ("fitbit", "recovered", "unspecified"),
        ("fitbit", "disappeared", ""),
    ):
        assert shown[labels] == 0


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


def test_requests_are_counted_from_zero_by_the_codes_that_rules_look_for() -> None:
    """The first answer of 503 is an increase."""
    metrics = ProgrammeMetrics(CollectorRegistry(), targets=["acme"])
    for code in ("200", "429", "503", "timeout", "connect", "tls"):
        labels = {"target": "acme", "code": code}
        assert metrics.registry.get_sample_value("junction_monitor_requests_total", labels) == 0

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from monitor import events
from monitor.exporter import DomainCollector, DomainFigures
from monitor.metrics import ProgrammeMetrics
from monitor.ports import EvaluationBacklog, Freshness

README = (Path(__file__).parents[1] / "README.md").read_text()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def exported() -> set[str]:
    """Return the names of all metrics, counters with their ending."""
    programme = ProgrammeMetrics(CollectorRegistry(), targets=["acme"])
    fresh = Freshness(fresh=0, overdue=0, oldest=NOW, latest=NOW)
    figures = DomainFigures(
        counts={},
        freshness={"acme": fresh},
        undelivered={"log": 0},
        reported={"acme": 1},
        backlog=EvaluationBacklog(entries=1, oldest=NOW),
    )
    domain = DomainCollector(figures, {"acme": 50.0}, timedelta(minutes=15))
    families = [*programme.registry.collect(), *domain.collect()]
    return {f"{each.name}_total" if each.type == "counter" else each.name for each in families}


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    """The table of metrics is complete both ways."""
    ours = {each for each in exported() if not each.startswith("process_")}
    assert set(re.findall(r"^\| `(junction_\w+)` \|", README, re.MULTILINE)) == ours


def test_every_event_is_documented_and_every_documented_one_exists() -> None:
    """The table of events is complete both ways."""
    constants = {value for name, value in vars(events).items() if name.isupper()}
    table = README.split("| event | when |")[1].split("## ")[0]
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", table)) == constants

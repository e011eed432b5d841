"""A vendor that invents words: a scrape stays small, quick and complete."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from prometheus_client import CollectorRegistry

from monitor.exporter import WITHIN, Exporter
from monitor.metrics import ProgrammeMetrics
from monitor.store import open_store
from monitor.store.vocabulary import MOST_ROWS
from tests.store.contract_stage import ANN, BOB, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from pathlib import Path

POLLS: Final = 8
ROWS: Final = 1000
"""Of one answer: the most that is read."""


@pytest.fixture
def url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """Give the URL of a SQLite file at the newest schema."""
    return f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / 'monitor.db')}"


async def test_answers_full_of_invented_words_make_no_scrape_slow_or_incomplete(url: str) -> None:
    """The honest provider is shown as before, the sums are right, and the domain series are there."""
    store = open_store(url)
    stage = Stage(store)
    await stage.register(ANN, BOB)
    await stage.see(BOB, connected())
    for poll in range(POLLS):
        await stage.see(ANN, *(broken(f"p{poll}_{number}", error_type=f"e{number}") for number in range(ROWS)))
    assert len(await store.views.counts()) < 5 * MOST_ROWS
    metrics = ProgrammeMetrics(CollectorRegistry(), targets=[TARGET])
    exporter = Exporter(
        metrics=metrics,
        store=store,
        rates={TARGET: 50.0},
        interval=timedelta(minutes=15),
        clock=lambda: stage.now,
    )
    began = time.monotonic()
    shown = (await exporter.render(""))[0].decode()
    assert time.monotonic() - began < WITHIN
    assert f'junction_connections{{provider="fitbit",status="connected",target="{TARGET}"}} 1.0' in shown
    errors = [line for line in shown.splitlines() if line.startswith("junction_connection_errors{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in errors) == ROWS
    assert len({line.split('error_type="')[1].split('"')[0] for line in errors}) <= 201
    await store.aclose()

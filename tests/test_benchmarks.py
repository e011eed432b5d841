"""The benchmarks' report, from figures that nobody measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.report import BARE, POSTGRES, SDK, SLOWLY, SQLITE, Measured, draw, markdown
from tests.benchmarks.size import Growth, Size

if TYPE_CHECKING:
    from pathlib import Path


def measured() -> Measured:
    """Return some of everything."""
    size = Size(
        users=10_000,
        claim=10.0,
        claim_p99=40.0,
        commit=11.0,
        scrape=8.0,
        status=0.9,
        status_in_full=0.6,
        bytes_per_user=4000.0,
    )
    return Measured(
        postgres="18.4",
        rates={BARE: [500.0, 700.0, 600.0], SDK: [1500.0], SQLITE: [9000.0], POSTGRES: [9600.0], SLOWLY: [1970.0]},
        by_users={1_000: (1000.0, 100.0), 10_000: (9600.0, 105.0)},
        by_replicas={1: 490.0, 2: 980.0},
        sizes=[size],
        imports={"SQLite": (1_000_000, 30.0)},
        growth=Growth(
            users=5, wal=1000.0, cpu=2e-5, before={"users": 5}, after={"users": 5, "budgets": 1}, sizes=[2**20, 2**20]
        ),
    )


def test_the_report_holds_every_figure_beside_its_goal() -> None:
    """Ratios are of medians."""
    text = markdown(measured(), 3, 6.0)
    assert "16.0 times httpx (goal 15), 6.40 times the SDK (goal 2.5)" in text
    assert "98.5% of in flight" in text
    assert "| 10,000 | 9,600 | 105 MiB | 10.0 ms | 40.0 ms | 11.0 ms | 8.0 ms | 0.90 s | 0.60 s | 4,000 bytes |" in text
    assert "polled 2 times without news: 1 new rows" in text


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """As a PNG."""
    draw(measured(), tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")

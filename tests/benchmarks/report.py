"""What was measured, as Markdown and as one picture."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from tests.benchmarks.speed import LATENCY, PER_REPLICA

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.size import Growth, Size

PARTS: Final = (
    "httpx",
    "uvloop",
    "sqlalchemy",
    "aiosqlite",
    "psycopg",
    "msgspec",
    "junction-api-sdk",
    "httpx-aiohttp",
    "aiohttp",
)
HEAD: Final = (
    *("users", "polls/s", "peak memory", "claim of 500", "p99", "its commit"),
    *("scrape", "`status`", "in full", "a user"),
)
BARE, SDK, SQLITE, POSTGRES, SLOWLY = "httpx", "sdk", "sqlite", "postgresql", "slow"


@dataclass
class Measured:
    """Everything that was measured; rates in polls or requests per second, a value a round."""

    postgres: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    by_users: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Polls per second and peak memory in MiB, by users."""
    by_replicas: dict[int, float] = field(default_factory=dict)
    sizes: list[Size] = field(default_factory=list)
    imports: dict[str, tuple[int, float]] = field(default_factory=dict)
    growth: Growth | None = None

    def median(self, name: str) -> float:
        """Return the median over rounds."""
        return statistics.median(self.rates[name])


def markdown(measured: Measured, rounds: int, seconds: float) -> str:
    """Return all tables."""
    parts = ", ".join(f"{each} {version(each)}" for each in PARTS)
    made = (
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, PostgreSQL {measured.postgres}, SQLite {sqlite3.sqlite_version}, {parts}."
    )
    how = (
        "The monitor is the real daemon: claim, request, digest, commit, metrics. It has one core; a cheap server and "
        f"PostgreSQL (fsync on) have the other. {rounds} interleaved rounds of {seconds:g} s, medians. The machine is "
        "small and shared: read the ratios."
    )
    blocks = [["# Results", made, how], _speed(measured), _picture(), _size(measured), _growth(measured)]
    return "\n\n".join(line for block in blocks for line in block) + "\n"


def _table(*rows: tuple[str, ...]) -> str:
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rest))


def _speed(measured: Measured) -> list[str]:
    plain, sdk, ceiling = measured.median(BARE), measured.median(SDK), 100 / LATENCY
    rows = [("load", "client", "per second", "beside")]
    rows += [("32 in flight, no latency", name, f"{rate:,.0f}", "") for name, rate in _rivals(plain, sdk)]
    for name in (SQLITE, POSTGRES):
        rate = measured.median(name)
        beside = f"{rate / plain:.1f} times httpx (goal 15), {rate / sdk:.2f} times the SDK (goal 2.5)"
        rows.append(("32 in flight, no latency", f"**monitor** on {name}", f"{rate:,.0f}", beside))
    slow = measured.median(SLOWLY)
    share = f"{slow / ceiling:.1%} of in flight ÷ latency, {ceiling:,.0f}/s (goal 98 %)"
    rows.append(("100 in flight, 50 ms", "**monitor** on sqlite", f"{slow:,.0f}", share))
    return ["## Speed on one core", _table(*rows)]


def _rivals(plain: float, sdk: float) -> list[tuple[str, float]]:
    return [("bare `httpx.AsyncClient` loop", plain), ("vendor's SDK over aiohttp", sdk)]


def _picture() -> list[str]:
    text = (
        f"Replicas have {PER_REPLICA} requests in flight each to a server that takes {LATENCY * 1000:g} ms, so that "
        "those are the limit and not the cores: what it shows is whether the common database costs any of it."
    )
    return ["![polls per second against users and against replicas](results.png)", text]


def _size(measured: Measured) -> list[str]:
    rows: list[tuple[str, ...]] = [HEAD]
    by_users = {each.users: each for each in measured.sizes}
    for users, (rate, memory) in sorted(measured.by_users.items()):
        size = by_users.get(users)
        figures: tuple[str, ...] = ("",) * 7
        if size is not None:
            figures = (
                f"{size.claim:.1f} ms",
                f"{size.claim_p99:.1f} ms",
                f"{size.commit:.1f} ms",
                f"{size.scrape:.1f} ms",
                f"{size.status:.2f} s",
                f"{size.status_in_full:.2f} s",
                f"{size.bytes_per_user:,.0f} bytes",
            )
        rows.append((f"{users:,}", f"{rate:,.0f}", f"{memory:.0f} MiB", *figures))
    imports = [("import into", "users", "seconds")]
    imports += [(name, f"{users:,}", f"{took:.1f}") for name, (users, took) in measured.imports.items()]
    goals = (
        "On PostgreSQL, three connections a user, a fiftieth of them in error. `status` is on a terminal, which lists "
        "the first thousand, in full in a pipe, which gets all: 60,000 lines of a million users. "
        "Goals: memory within 20 % of that with 1,000 users, a claim under 15 ms and flat, a scrape under 20 ms, "
        "`monitor status` under 2 s, an import of a million under 60 s. The interval is 1 s, so 1,000 users ask "
        "for no more than 1,000 polls/s."
    )
    return ["## Size", goals, _table(*rows), _table(*imports)]


def _growth(measured: Measured) -> list[str]:
    grown = measured.growth
    if grown is None:
        return []
    new = sum(grown.after.values()) - sum(grown.before.values())
    shown = sorted({0, min(4, len(grown.sizes) - 1), len(grown.sizes) - 1})
    sizes = ", ".join(f"{grown.sizes[each] / 2**20:.1f} MiB after round {each + 1}" for each in shown)
    text = (
        f"{grown.users:,} users polled {len(grown.sizes)} times without news: {new} new rows (goal 0; `budgets` "
        f"has its one row from the first claim on). Database, vacuumed: {sizes}. A poll costs "
        f"PostgreSQL {grown.cpu * 1e6:.0f} µs of processor time and {grown.wal:,.0f} bytes of write-ahead log."
    )
    return ["## Growth when nothing changes", text]


def draw(measured: Measured, file: Path) -> None:
    """Draw polls per second against users and against replicas."""
    import matplotlib as mpl  # noqa: PLC0415 - only the full form draws

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    users = sorted(measured.by_users)
    left.plot(users, [measured.by_users[each][0] for each in users], marker="o", color="#1f6f8b", label="monitor")
    left.axhline(measured.median(BARE), color="#b0413e", linestyle="--", label="bare httpx loop")
    left.axhline(measured.median(SDK), color="#888888", linestyle=":", label="vendor's SDK over aiohttp")
    left.set(xscale="log", xlabel="users in the cohort", ylabel="polls per second", ylim=(0, None))
    left.set_title("One replica on one core, PostgreSQL, 32 in flight, no latency", fontsize=10)
    left.annotate("all that 1,000 users\nask for", (users[0], measured.by_users[users[0]][0]), (users[0] * 2.6, 2300))
    left.legend(frameon=False, loc="center right")
    numbers = sorted(measured.by_replicas)
    right.plot(numbers, [measured.by_replicas[each] for each in numbers], marker="o", color="#1f6f8b", label="measured")
    ceiling = [each * PER_REPLICA / LATENCY for each in numbers]
    right.plot(numbers, ceiling, color="#888888", linestyle=":", label="in flight ÷ latency")
    right.set(xlabel="replicas on one PostgreSQL", ylabel="polls per second", xticks=numbers, ylim=(0, None))
    right.set_title(f"{PER_REPLICA} in flight each, {LATENCY * 1000:g} ms latency", fontsize=10)
    right.legend(frameon=False, loc="upper left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    figure.savefig(file, dpi=110)

"""What a large cohort costs: claims, scrapes, ``monitor status``, import, memory, and growth when nothing changes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import psycopg
from xxhash import xxh3_128_digest

from monitor.core import judge
from monitor.core.budget import Pace
from monitor.core.judge import Cadence
from monitor.store import Schema, open_store
from tests.benchmarks import ours
from tests.benchmarks.ours import TARGET, Setting
from tests.benchmarks.speed import FAST
from tests.benchmarks.upstream import body
from tests.store.crowd import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import LiteralString

    from monitor.store import SqlStore
    from tests.postgres import Server

LEASE: Final = timedelta(seconds=25)
CADENCE: Final = Cadence(interval=timedelta(minutes=15), gone_interval=timedelta(days=1))
PACE: Final = Pace(rate=1e9)
CLAIM: Final = 500
CLAIMS: Final = 200
SCRAPES: Final = 30
TABLES: Final = (
    "users",
    "connections",
    "snapshots",
    "transitions",
    "undecided",
    "alerts",
    "incidents",
    "outbox",
    "counts",
    "budgets",
    "jobs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Milliseconds of a claim of 500 due users and of its commit, and of a scrape; seconds of ``monitor status``.

    ``status`` is on a terminal, which lists a thousand connections, ``status_in_full`` in a pipe, which gets all.
    """

    users: int
    claim: float
    claim_p99: float
    commit: float
    scrape: float
    status: float
    status_in_full: float
    bytes_per_user: float


def measure(server: Server, users: int) -> Size:
    """Measure one size on PostgreSQL."""
    with server.database() as url:
        Schema(url).upgrade()
        now = datetime.now(UTC)
        fill(url, users=users, now=now, digest=xxh3_128_digest(body()), target=TARGET)
        claims, commits = asyncio.run(_claims(url, now + timedelta(minutes=15), min(CLAIMS, users // CLAIM)))
        with psycopg.connect(url, autocommit=True) as connection:
            # Back to where a daemon finds an ordinary cohort, evenly due.
            connection.execute("UPDATE users SET next_poll_at = now() + random() * interval '15 minutes'")
            connection.execute("VACUUM (ANALYZE)")
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        scraped, status, in_full = _asked(url)
    assert size is not None
    return Size(
        users=users,
        claim=statistics.median(claims) * 1e3,
        claim_p99=sorted(claims)[int(len(claims) * 0.99)] * 1e3,
        commit=statistics.median(commits) * 1e3,
        scrape=scraped * 1e3,
        status=status,
        status_in_full=in_full,
        bytes_per_user=size[0] / users,
    )


async def _claims(url: str, now: datetime, count: int) -> tuple[list[float], list[float]]:
    store = open_store(url)
    try:
        timed = [await _turn(store, now + number * timedelta(milliseconds=100)) for number in range(count)]
    finally:
        await store.aclose()
    return [each[0] for each in timed], [each[1] for each in timed]


async def _turn(store: SqlStore, now: datetime, limit: int = CLAIM) -> tuple[float, float, int]:
    began = time.perf_counter()
    claims = (await store.polls.claim(TARGET, limit=limit, now=now, lease=LEASE, pace=PACE)).claims
    claimed = time.perf_counter()
    await store.polls.commit([judge.unchanged(each, CADENCE, now) for each in claims], now=now)
    return claimed - began, time.perf_counter() - claimed, len(claims)


def _asked(url: str) -> tuple[float, float, float]:
    """Return the median seconds of a scrape of a daemon at work, and of ``monitor status`` as a whole process."""
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(directory=Path(directory), database=url, upstream=FAST, interval="15m", core=None)
        with ours.daemon(setting):
            ours.wait_for(1, setting.port)
            scraped = [_timed_scrape(setting.port) for _ in range(SCRAPES)]
        on_terminal = [setting.run("status", terminal=True) for _ in range(3)]
        in_full = [setting.run("status") for _ in range(3)]
    return statistics.median(scraped), statistics.median(on_terminal), statistics.median(in_full)


def _timed_scrape(port: int) -> float:
    time.sleep(0.1)
    began = time.perf_counter()
    ours.scrape(port)
    return time.perf_counter() - began


def imported(database: str, users: int) -> float:
    """Return the seconds that ``monitor cohort import`` takes into an empty database."""
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(directory=Path(directory), database=database.format(directory), upstream=FAST, core=None)
        setting.run("db", "upgrade")
        return setting.run("cohort", "import", "-", given="\n".join(ours.member_ids(users)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Rows of all tables before and after, and bytes of the database after each vacuumed round.

    ``wal`` is the bytes of write-ahead log and ``cpu`` the seconds of PostgreSQL's processor that a poll costs, vacuum
    included.
    """

    users: int
    wal: float
    cpu: float
    before: dict[str, int]
    after: dict[str, int]
    sizes: list[int]


def growth(server: Server, users: int, rounds: int) -> Growth:
    """Poll everybody ``rounds`` times without news, and see what it leaves behind."""
    with server.database() as url:
        Schema(url).upgrade()
        now = datetime.now(UTC)
        fill(url, users=users, now=now, target=TARGET)
        before, wal, cpu = _rows(url), _wal(url), _cpu()
        sizes = list(_rounds(url, now, rounds))
        return Growth(
            users=users,
            wal=(_wal(url) - wal) / users / rounds,
            cpu=(_cpu() - cpu) / users / rounds,
            before=before,
            after=_rows(url),
            sizes=sizes,
        )


def _rounds(url: str, now: datetime, rounds: int) -> Iterator[int]:
    for number in range(1, rounds + 1):
        asyncio.run(_round(url, now + number * timedelta(minutes=15)))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM")
        yield int(_asked_for(url, "SELECT pg_database_size(current_database())"))


def _wal(url: str) -> float:
    return _asked_for(url, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")


def _cpu() -> float:
    """Return the processor time of PostgreSQL's processes; of those that have ended their parent keeps account."""
    times = [each.cpu_times() for each in psutil.Process().children(recursive=True) if each.name() == "postgres"]
    return sum(each.user + each.system for each in times) + sum(
        each.children_user + each.children_system for each in times
    )


def _asked_for(url: str, question: LiteralString) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return float(row[0])


async def _round(url: str, now: datetime) -> None:
    """Poll in fifty steps, as time goes by: what is due is spread over the interval."""
    store = open_store(url)
    try:
        for step in range(50):
            at = now + step * timedelta(seconds=18)
            while (await _turn(store, at, 1000))[2]:
                pass
    finally:
        await store.aclose()


def _rows(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        counted = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TABLES}  # noqa: S608 - our own names
    return {table: row[0] for table, row in counted.items() if row is not None}

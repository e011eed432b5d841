"""``make bench``: the monitor beside other clients, against cohorts and against replicas, all from one run.

The upstream and the database have a core to themselves, whoever asks has the other. Rounds are interleaved and medians
are quoted, since machines are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import psycopg

from tests import postgres
from tests.benchmarks import report, size, soak, speed
from tests.benchmarks.report import BARE, POSTGRES, SDK, SLOWLY, SQLITE, Measured
from tests.benchmarks.speed import FAST, LATENCY, SLOW, THEIRS

if TYPE_CHECKING:
    from tests.postgres import Server

RESULTS: Final = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Measure, print the tables, and in the full form keep them."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--full", action="store_true", help="all sizes up to a million users; writes RESULTS.md")
    full = parser.parse_args().full
    rounds, seconds = (3, 6.0) if full else (1, 3.0)
    with speed.upstream(FAST, 0), speed.upstream(SLOW, LATENCY), postgres.server(durable=True) as server:
        _move_to_other_core()
        measured = Measured(postgres=_version(server))
        for _ in range(rounds):
            _race(measured, server, seconds)
        for users in (1_000, 10_000, 100_000, 1_000_000) if full else (1_000, 10_000):
            _one_size(measured, server, users, seconds)
        for number in (1, 2, 4) if full else (1, 2):
            measured.by_replicas[number] = speed.replicas(server, number, seconds)
            _say(f"{number} replicas: {measured.by_replicas[number]:,.0f}/s")
        _imports(measured, server, 1_000_000 if full else 20_000)
        measured.growth = size.growth(server, *((100_000, 20) if full else (2_000, 5)))
    text = report.markdown(measured, rounds, seconds)
    if full:
        RESULTS.write_text(f"{text.rstrip()}\n\n{soak.kept(RESULTS.read_text())}")
        report.draw(measured, RESULTS.with_name("results.png"))
    sys.stdout.write(text)


def _race(measured: Measured, server: Server, seconds: float) -> None:
    for name in (BARE, SDK):
        _keep(measured, name, speed.rival(name, 32, seconds))
    _keep(measured, SQLITE, speed.on_sqlite(FAST, 32, seconds))
    with speed.crowd(server, speed.SMALL) as url:
        _keep(measured, POSTGRES, speed.on_postgres(url, FAST, 32, seconds)[0])
    _keep(measured, SLOWLY, speed.on_sqlite(SLOW, 100, seconds))


def _keep(measured: Measured, name: str, rate: float) -> None:
    measured.rates.setdefault(name, []).append(rate)
    _say(f"{name}: {rate:,.0f}/s")


def _one_size(measured: Measured, server: Server, users: int, seconds: float) -> None:
    with speed.crowd(server, users) as url:
        measured.by_users[users] = speed.on_postgres(url, FAST, 32, seconds)
    _say(f"{users:,} users: {measured.by_users[users][0]:,.0f}/s, {measured.by_users[users][1]:.0f} MiB")
    if users >= 10_000:
        measured.sizes.append(size.measure(server, users))
        _say(str(measured.sizes[-1]))


def _imports(measured: Measured, server: Server, users: int) -> None:
    measured.imports["SQLite"] = (users, size.imported("sqlite:///{}/bench.db", users))
    with server.database() as url:
        measured.imports["PostgreSQL"] = (users, size.imported(url, users))
    _say(str(measured.imports))


def _move_to_other_core() -> None:
    for each in psutil.Process().children(recursive=True):
        each.cpu_affinity([THEIRS])


def _version(server: Server) -> str:
    with psycopg.connect(server.admin_url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "unknown"


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


if __name__ == "__main__":
    main()

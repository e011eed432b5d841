"""Migrations of databases that are in use: what was there stays, and says the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
from sqlalchemy import JSON, Uuid, column, func, insert, select, table

from monitor.core.policy import Flapping, IncidentRule, Severity
from monitor.core.tally import Count, Key
from monitor.store import Schema, open_store
from monitor.store.engine import sync_engine
from monitor.store.tables import Moment, counts, erased, metadata, privacy, targets, users
from tests.store import contract_kept as kept
from tests.store.contract_recount import agrees
from tests.store.contract_stage import ANN, BOB, CID, DAN, PACE, POLICY, START, TARGET, Stage, broken, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Executable

    from monitor.store.rows import Record

OLD_ALERTS: Final = table(
    "alerts",
    *(column(name, Uuid) for name in ("id", "fired_by", "resolved_by")),
    *(column(name, Moment) for name in ("fired_at", "resolved_at")),
    *(column(name) for name in ("member", "provider", "severity", "error_type", "state", "reason")),
)
OLD_OUTBOX: Final = table(
    "outbox",
    column("alert_id", Uuid),
    *(column(name, Moment) for name in ("created_at", "written_at")),
    column("payload", JSON),
    *(column(name) for name in ("member", "state", "sink")),
)
FIRED, HEALED = UUID(int=101), UUID(int=102)
BEFORE: Final = START - timedelta(days=1)
WAVES: Final = replace(
    POLICY,
    user_gone=Severity.CRITICAL,
    confirm_for_error_types={"slow": timedelta(hours=9)},
    flapping=Flapping(transitions=2),
    incident=IncidentRule(min_users=2, min_share=0.1),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Give an empty database of each kind."""
    chosen: str = sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return chosen


@pytest.fixture
async def old(url: str) -> AsyncIterator[Stage]:
    """Give a database that was at 0002, with an alert that is open and one that is over, and what is told of them."""
    Schema(url).upgrade("0002")
    alert = {"member": 1, "provider": "fitbit", "severity": "warning", "error_type": "no_luck", "fired_at": BEFORE}
    notice = {"member": 1, "sink": "log", "payload": {"provider": "fitbit", "state": "firing"}, "created_at": BEFORE}
    user = {"target_id": 1, "intent": "active", "presence": "present", "registered_at": BEFORE, "failures": 0}
    over = {"state": "resolved", "reason": "it recovered", "resolved_at": START, "resolved_by": FIRED}
    run(
        url,
        insert(targets).values(name=TARGET),
        insert(users).values(user | {"user_id": ANN, "next_poll_at": START, "observed_at": BEFORE}),
        insert(OLD_ALERTS).values(alert | {"id": HEALED, "fired_by": HEALED} | over),
        insert(OLD_ALERTS).values(alert | {"id": FIRED, "fired_by": FIRED, "state": "firing", "reason": "it broke"}),
        insert(OLD_OUTBOX).values(notice | {"alert_id": HEALED, "state": "resolved", "written_at": START}),
        insert(OLD_OUTBOX).values(notice | {"alert_id": FIRED, "state": "firing"}),
        insert(counts).values(target_id=1, count="users", a="active", b="", c="", value=1),
        insert(counts).values(target_id=1, count="alerts", a="fitbit", b="warning", c="", value=1),
    )
    Schema(url).upgrade()
    stage = Stage(open_store(url))
    yield stage
    await agrees(stage.store)
    await stage.store.aclose()


def run(url: str, *statements: Executable) -> None:
    """Run statements in one transaction."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        for each in statements:
            connection.execute(each)
    engine.dispose()


def rows(url: str, statement: Executable) -> Sequence[Record]:
    """Return what a statement finds."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        found: Sequence[Any] = connection.execute(statement).all()
    engine.dispose()
    return found


async def test_alerts_of_before_are_kept(old: Stage) -> None:
    """What is open stays open, and is known to have fired by what it fired by."""
    found = {each.alert.id: each for each in await old.alerts()}
    assert found.keys() == {FIRED, HEALED}
    alert = found[FIRED].alert
    assert (alert.state, alert.status, alert.slot) == ("firing", "error", ("fitbit", ""))
    assert (alert.began_by, alert.began_at, alert.confirmed_at, alert.fired_at) == (FIRED, BEFORE, BEFORE, BEFORE)
    assert (found[FIRED].fired_reason, found[HEALED].fired_reason) == ("it broke", None)
    assert (found[HEALED].alert.state, found[HEALED].resolved_at) == ("resolved", START)


async def test_notices_of_before_still_wait(old: Stage) -> None:
    """Those that were written do not."""
    assert await old.told() == [("fitbit", "firing")]
    assert await old.store.outbox.undelivered() == {"log": 1}


async def test_an_alert_of_before_ends_as_any_other(old: Stage) -> None:
    """With a line after that of its beginning, and right counts."""
    await old.see(ANN, connected())
    await old.decide()
    assert await old.open_alerts() == []
    assert await old.told() == [("fitbit", "firing"), ("fitbit", "resolved")]


async def live(stage: Stage) -> None:
    """Let there be rows in every table: alerts of every kind and state, an incident, and notices to two sinks."""
    await stage.register(ANN, BOB, CID, DAN)
    for user in (ANN, BOB, CID, DAN):
        await stage.see(user, connected(), connected("oura"), connected("polar"))
    for user in (ANN, BOB):
        await stage.see(user, broken(), connected("oura"), connected("polar"))
    await stage.see(CID, connected(), broken("oura"), broken("polar", error_type="slow"))
    await stage.decide(sinks=["log", "pager"])
    for row in (connected("oura"), broken("oura"), connected("oura")):
        await stage.see(CID, connected(), row, broken("polar", error_type="slow"))
    await stage.go(DAN)
    await stage.decide(sinks=["log", "pager"])
    await stage.see(ANN, broken(), broken("oura"), connected("polar"))
    await stage.store.polls.spend(TARGET, 1, now=stage.now, pace=PACE)


async def test_a_database_in_use_goes_back_and_forth(url: str) -> None:
    """What the older program knows it still has: alerts that fired on errors, and their notices to the log."""
    Schema(url).upgrade()
    stage = Stage(open_store(url), WAVES)
    await live(stage)
    run(
        url,
        insert(erased).values(target_id=1, digest=b"salted", erased_at=stage.now),
        insert(privacy).values(subject="client_user_id", mode="plain", rewritten_at=stage.now, settled=True),
    )
    assert all(rows(url, select(func.count()).select_from(each))[0][0] for each in metadata.sorted_tables)
    await stage.store.aclose()
    Schema(url).downgrade("0002")
    assert {each.count for each in rows(url, select(counts.c.count))} >= {"alerts", "transitions"}
    assert not rows(url, select(counts.c.count).where(counts.c.count == "incidents"))
    kinds = [(each.provider, each.state) for each in rows(url, select(OLD_ALERTS).order_by(OLD_ALERTS.c.fired_at))]
    assert sorted(kinds) == [("fitbit", "firing"), ("fitbit", "firing"), ("oura", "resolved")]
    told = [each.payload["provider"] for each in rows(url, select(OLD_OUTBOX))]
    assert {each.sink for each in rows(url, select(OLD_OUTBOX))} == {"log"}
    Schema(url).upgrade()
    stage = Stage(open_store(url), WAVES)
    assert [each.payload["provider"] for each in await stage.notices()] == told
    assert await kept.incidents(stage.store) == []
    assert (await stage.counts())[Key(TARGET, Count.ALERTS, "fitbit", "info")] == 2
    await agrees(stage.store)
    await stage.store.aclose()


async def test_counts_of_invented_words_are_pruned(url: str) -> None:
    """40 answers with invented providers left rows without bound; the sums stay, and so do the rows that count most."""
    Schema(url).upgrade("0003")
    user = {"target_id": 1, "intent": "active", "presence": "present", "registered_at": BEFORE, "failures": 0}
    gone = [("connections", f"gone_{number}", "connected", "", 0) for number in range(3000)]
    there = [("connections", f"there_{number}", "connected", "", 1) for number in range(1500)]
    odd = [("connections", f"very_odd_{number}", "invented", "", 1) for number in range(3)]
    broken = [("connections", "fitbit", "error", "unknown", 70)]
    totals = [("transitions", f"gone_{number}", "appeared", "", 1) for number in range(3000)]
    names = ("count", "a", "b", "c", "value")
    every = [{"target_id": 1, **dict(zip(names, row, strict=True))} for row in gone + there + odd + broken + totals]
    run(
        url,
        insert(targets).values(name=TARGET),
        insert(users).values(user | {"user_id": ANN, "next_poll_at": START, "observed_at": BEFORE}),
        insert(counts).values(every[:2000]),
        *(insert(counts).values(every[start : start + 2000]) for start in range(2000, len(every), 2000)),
    )
    Schema(url).upgrade()
    store = open_store(url)
    found = await store.views.counts()
    await store.aclose()
    connections = {key: amount for key, amount in found.items() if key.count is Count.CONNECTIONS}
    assert (len(connections), sum(connections.values()), min(connections.values())) == (1002, 1573, 1)
    assert connections[Key(TARGET, Count.CONNECTIONS, "fitbit", "error", "unknown")] == 70
    assert connections[Key(TARGET, Count.CONNECTIONS, "other", "connected")] > 490
    running = {key: amount for key, amount in found.items() if key.count is Count.TRANSITIONS}
    assert (len(running), running[Key(TARGET, Count.TRANSITIONS, "other", "appeared")]) == (1001, 2000)

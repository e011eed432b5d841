"""Every statement on the outbox goes by an index, however much waits and however much is past."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import event, text

from monitor.core.alerting import AlertState
from monitor.ports import Done
from tests.store.telling import START, Teller, alert_id

ROWS: Final = 60_000
FILL: Final = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) {insert} FROM n",
    "postgresql": "{insert} FROM generate_series(1, {rows}) AS n(i)",
}
INSERT: Final = """
INSERT INTO outbox (event, alert_id, state, updates, sink, payload, created_at, attempts, next_attempt_at, outcome,
  written_at)
SELECT 'connection.alert', {uuid}, 'firing', 0, CASE WHEN i % 3 = 0 THEN 'pager' ELSE 'log' END, '{{}}',
  {now}, 0, CASE WHEN i % 5 = 0 THEN {later} END,
  CASE WHEN i % 2 = 0 THEN 'delivered' END, CASE WHEN i % 2 = 0 THEN {now} END
"""


@pytest.fixture
async def large(teller: Teller, store_kind: str) -> Teller:
    """Give a store with much that waits, much that is to be tried again, and much that is past."""
    sqlite, now, later = store_kind == "sqlite", str(START)[:26], str(START + timedelta(hours=1))[:26]
    words = {"uuid": "lower(hex(randomblob(16)))", "now": f"'{now}'", "later": f"'{later}'"}
    if not sqlite:
        words = {"uuid": "gen_random_uuid()", "now": f"timestamptz '{now}Z'", "later": f"timestamptz '{later}Z'"}
    database: Any = teller.store
    async with database._database.writing() as connection:
        await connection.execute(text(FILL[store_kind].format(rows=ROWS, insert=INSERT.format(**words))))
        await connection.execute(text("ANALYZE"))
    return teller


async def everything(teller: Teller) -> None:
    """Ask the outbox all that it can be asked."""
    outbox = teller.store.outbox
    some, *others = await teller.claim(limit=50)
    await teller.claim("log", limit=50, incidents_only=True)
    await outbox.retry(others[:20], "HTTP 400", at=teller.now)
    await outbox.release(others[20:])
    await outbox.settle([some], Done.DELIVERED, now=teller.now)
    await outbox.sent_since("pager", teller.now)
    await outbox.firing("pager", limit=500)
    await outbox.firing("pager", limit=500, after=(1, "fitbit", ""))
    await outbox.told("pager", [alert_id(each) for each in range(50)], AlertState.FIRING)
    await teller.store.upkeep.prune_alerts(teller.now - timedelta(days=1), limit=1000)


@pytest.mark.parametrize("store_kind", sorted(FILL), indirect=True)
async def test_no_statement_reads_the_outbox_through(large: Teller, store_kind: str) -> None:
    """Neither a claim, nor what ends it, nor what is asked beside it; only a count reads what waits."""
    database: Any = large.store
    seen: list[tuple[str, Any]] = []
    engine = database._database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda _c, _u, said, with_, *_: seen.append((said, with_)))
    await everything(large)
    found = []
    for statement, parameters in [each for each in seen if " outbox" in each[0]]:
        explain = "EXPLAIN QUERY PLAN" if store_kind == "sqlite" else "EXPLAIN"
        async with database._database.reading() as connection:
            plan = (await connection.exec_driver_sql(f"{explain} {statement}", parameters)).all()
        lines = [str(each[-1]).strip() for each in plan]
        bad = [each for each in lines if each.startswith("SCAN outbox") or "Seq Scan on outbox" in each]
        found += [f"{statement}\n{'; '.join(lines)}" for _ in bad]
    assert not found, "\n\n".join(found)

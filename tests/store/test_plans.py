"""Every hot statement goes by an index: none reads a large table from end to end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
from sqlalchemy import event

from monitor.core import judge
from monitor.core.budget import Pace
from monitor.core.evaluation import evaluate
from monitor.core.model import Intent, Outcome
from monitor.core.policy import Flapping, IncidentRule, Policy
from monitor.ports import Done, ListedUser, TransitionFilter
from monitor.store import open_store
from tests.store.contract_recount import agrees
from tests.store.contract_stage import CADENCE, LEASE, broken, digest, snapshot
from tests.store.crowd import TARGET, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from monitor.core.judge import Claim
    from monitor.store import SqlStore

LARGE: Final = frozenset({"users", "connections", "snapshots", "transitions", "alerts", "outbox"})
USERS: Final = 50_000
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
LATER: Final = NOW + timedelta(minutes=5)
FLAPPING: Final = Policy(flapping=Flapping())
WAVES: Final = replace(FLAPPING, incident=IncidentRule(min_users=3, min_share=0.001))
SOMEBODY: Final = UUID("ffffffff-ffff-4fff-8fff-ffffffffffff")


@pytest.fixture(scope="module")
def crowded(postgres_server: Any, postgres_template: str) -> Iterator[str]:
    """Give a database with a large cohort."""
    with postgres_server.database(template=postgres_template) as url:
        fill(url, users=USERS, now=NOW)
        yield url


@contextmanager
def statements(store: SqlStore) -> Iterator[list[tuple[str, Any]]]:
    """Collect every statement with one set of its parameters."""
    seen: list[tuple[str, Any]] = []
    engine = store._database._engine.sync_engine

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


async def read_through(store: SqlStore, seen: list[tuple[str, Any]]) -> list[str]:
    """Return the statements whose plan reads a large table from end to end."""
    found = []
    for statement, parameters in seen:
        if statement.lstrip().split()[0] not in {"SELECT", "UPDATE", "DELETE", "INSERT", "WITH"}:
            continue
        async with store._database.reading() as connection:
            plan = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)).scalar_one()
        scans = [each for each in nodes(plan[0]["Plan"]) if each["Node Type"] == "Seq Scan"]
        found += [f"{each['Relation Name']}: {statement}" for each in scans if each["Relation Name"] in LARGE]
    return found


async def claims(store: SqlStore, limit: int = 500) -> list[Claim]:
    """Claim due users."""
    claimed = await store.polls.claim(TARGET, limit=limit, now=LATER, lease=LEASE, pace=Pace(rate=1e9))
    assert len(claimed.claims) == limit
    return claimed.claims


async def poll_unchanged(store: SqlStore) -> None:
    """Claim and commit without news."""
    verdicts = [judge.unchanged(each, CADENCE, LATER) for each in await claims(store)]
    assert len(await store.polls.commit(verdicts, now=LATER)) == len(verdicts)


async def poll_changed(store: SqlStore, limit: int = 100) -> None:
    """Claim and commit with news for everybody: transitions, and the queue of decisions."""
    taken = await claims(store, limit)
    known = await store.polls.known(taken)
    seen, mark = snapshot(broken(), broken("garmin")), digest(broken())
    verdicts = [judge.seen(each, known[each.key], seen, mark, CADENCE, LATER) for each in taken]
    assert len(await store.polls.commit(verdicts, now=LATER)) == len(verdicts)


async def decide(store: SqlStore) -> None:
    """Take and settle full dockets: first a wave that is told alone, then one that is an incident, then its end."""
    await poll_changed(store, 600)
    for policy in (FLAPPING, WAVES, replace(WAVES, incident=None)):
        taken = await store.alerts.take(policy, limit=500, now=LATER, lease=LEASE)
        assert taken is not None
        outcome = evaluate(taken.docket, policy, LATER)
        assert bool(outcome.incidents) is (policy is not FLAPPING)
        assert await store.alerts.settle(taken, outcome, policy, sinks=["log"])
        await store.alerts.release(taken)


async def poll_failed(store: SqlStore) -> None:
    """Claim, observe nothing of some, and give the others back."""
    first, second, *rest = await claims(store)
    verdicts = [judge.unobserved(each, Outcome.TIMEOUT, CADENCE, LATER) for each in (first, second)]
    await store.polls.commit(verdicts, now=LATER)
    await store.polls.release(rest)


async def take_by_name(store: SqlStore) -> None:
    """Claim named users."""
    named = [each.user.user_id for each in await claims(store, 20)]
    await store.polls.claim_users(TARGET, named, now=LATER + LEASE, lease=LEASE)


async def bring_forward(store: SqlStore) -> None:
    """Poll more often."""
    await store.polls.bring_forward(TARGET, cadence=CADENCE, now=NOW)


async def scrape(store: SqlStore) -> None:
    """Ask all that a scrape asks."""
    await store.views.counts()
    await store.views.freshness(TARGET, interval=timedelta(minutes=15), now=LATER)
    await store.outbox.undelivered()
    await store.views.reported(since=NOW)


async def tell(store: SqlStore) -> None:
    """Take notices, write some, give some back."""
    await decide(store)
    some, *others = await store.outbox.claim("log", limit=200, now=LATER, lease=LEASE)
    await store.outbox.settle([some], Done.DELIVERED, now=LATER)
    await store.outbox.release(others)


async def keep_house(store: SqlStore) -> None:
    """Take a turn, and prune."""
    held = await store.upkeep.begin("prune", every=timedelta(hours=1), now=NOW, lease=LEASE)
    assert held is not None
    await store.upkeep.renew("prune", held, now=NOW, lease=LEASE)
    await store.upkeep.prune_snapshots(NOW - timedelta(days=1), limit=1000)
    await store.upkeep.prune_alerts(NOW - timedelta(hours=16), limit=100)
    step = await store.upkeep.prune_transitions(NOW - timedelta(hours=16), limit=100, cursor=None)
    await store.upkeep.prune_transitions(NOW - timedelta(hours=16), limit=100, cursor=step.cursor)
    await store.upkeep.end("prune", held, ran_at=NOW)


async def ask_of_one(store: SqlStore) -> None:
    """Ask all that the command line asks of one user."""
    (claim,) = await claims(store, 1)
    user = claim.user.user_id
    assert await store.cohort.member(TARGET, user) is not None
    assert await first(store.views.connections(user_id=user)) is not None
    assert await first(store.views.transitions(TransitionFilter(user_id=user))) is not None
    assert await store.views.snapshot_at(TARGET, user, NOW) is not None


async def ask_of_all(store: SqlStore) -> None:
    """Begin to list members, errors and the newest transitions."""
    assert await first(store.cohort.members(TARGET)) is not None
    assert await first(store.views.connections(status="error")) is not None
    assert await first(store.views.transitions(TransitionFilter(since=NOW - timedelta(minutes=2)))) is not None


async def join(store: SqlStore) -> None:
    """Register somebody, pause and erase."""
    listed = [ListedUser(user_id=SOMEBODY, client_user_id=None)]
    await store.cohort.register(TARGET, listed, now=NOW, revive=True)
    await store.cohort.set_intent(TARGET, [SOMEBODY], Intent.PAUSED, now=NOW)
    await store.cohort.set_intent(TARGET, [SOMEBODY], Intent.REMOVED, now=NOW)
    assert await store.cohort.erase(TARGET, SOMEBODY, now=NOW)


async def first(found: AsyncIterator[Any]) -> Any:
    """Return the first of many."""
    return await anext(found)


HOT: Final = (
    poll_unchanged,
    poll_changed,
    decide,
    poll_failed,
    take_by_name,
    bring_forward,
    scrape,
    tell,
    keep_house,
    ask_of_one,
    ask_of_all,
    join,
)


@pytest.mark.parametrize("work", HOT, ids=lambda work: work.__name__)
async def test_no_hot_statement_reads_a_large_table_through(
    crowded: str, work: Callable[[SqlStore], Awaitable[None]]
) -> None:
    """Among 50,000 users, by the plans of PostgreSQL itself."""
    store = open_store(crowded)
    with statements(store) as seen:
        await work(store)
    assert seen
    assert await read_through(store, seen) == []
    await store.aclose()


async def test_the_check_finds_what_it_looks_for(crowded: str) -> None:
    """A statement without an index is told."""
    store = open_store(crowded)
    seen = [("SELECT count(*) FROM users WHERE reason = %(reason)s", {"reason": "x"})]
    assert await read_through(store, seen) == [f"users: {seen[0][0]}"]
    await store.aclose()


async def test_a_crowd_agrees_with_itself(migrated_postgres_url: str) -> None:
    """What the script makes is a state that the program could have made."""
    fill(migrated_postgres_url, users=200, now=NOW)
    store = open_store(migrated_postgres_url)
    await agrees(store)
    await store.aclose()

"""What must hold of any store at any time: its counts, its current state, its history and its facts agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.core import tally
from monitor.core.alerting import AlertState
from monitor.core.diff import replay
from monitor.core.model import Intent, User
from monitor.core.tally import Count, Key
from monitor.ports import TransitionFilter
from monitor.store.vocabulary import as_other, placed
from tests.store import contract_kept as kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.core.model import Connection, Transition
    from monitor.ports import Member, Store

AFTER_ALL: Final = datetime(2100, 1, 1, tzinfo=UTC)
SAMPLE: Final = 50
"""Users whose history is read one by one, at most about so many."""
Face = tuple[str, str | None, datetime | None]


async def agrees(store: Store) -> None:
    """Assert that everything in ``store`` agrees."""
    members = [each async for each in store.cohort.members(None, include_removed=True)]
    current: dict[User, list[Connection]] = defaultdict(list)
    async for each in store.views.connections():
        current[User(target=each.target, user_id=each.user_id)].append(each.connection)
    facts: dict[User, list[Transition]] = defaultdict(list)
    async for fact in store.views.transitions(TransitionFilter()):
        facts[User(target=fact.target, user_id=fact.user_id)].append(fact)
    counts = await store.views.counts()

    _running_totals_cover(counts, facts.values())
    await _history_agrees(store, members, current, facts)
    await _one_alert_is_open_in_a_slot(store)
    recounted = _recounted(members, current) + await _decided(store)
    assert _kept(counts) == {key: amount for key, amount in placed(recounted, counts).items() if amount}
    assert await store.upkeep.count_differences() == {}


def _kept(counts: Mapping[Key, int]) -> dict[Key, int]:
    return {key: amount for key, amount in counts.items() if amount and key.count is not Count.TRANSITIONS}


def _recounted(members: list[Member], current: dict[User, list[Connection]]) -> Counter[Key]:
    counts: Counter[Key] = Counter()
    for each in members:
        counts.update(tally.of_user(each.target, each.intent, each.presence, each.failures, each.outcome))
    for user, rows in current.items():
        counts.update(tally.of_connections(user.target, rows))
    return counts


async def _decided(store: Store) -> Counter[Key]:
    """Count alerts that are firing and incidents that are open."""
    alerts = [each.alert for each in await kept.alerts(store)]
    counts = tally.of_alerts(each for each in alerts if each.state is AlertState.FIRING)
    for each in await kept.incidents(store):
        target, provider, error_type = each.key
        counts[Key(target, Count.INCIDENTS, provider, error_type)] += each.state is AlertState.FIRING
    return +counts


async def _one_alert_is_open_in_a_slot(store: Store) -> None:
    slots = Counter((each.alert.user, each.alert.slot) for each in await kept.alerts(store) if each.alert.is_open)
    assert set(slots.values()) <= {1}


def _running_totals_cover(counts: Mapping[Key, int], facts: Iterable[list[Transition]]) -> None:
    lacking: Counter[Key] = Counter()
    for key, amount in tally.of_transitions(each for some in facts for each in some).items():
        lacking[as_other(key)] += max(0, amount - counts.get(key, 0))
    for other, amount in lacking.items():
        assert counts.get(other, 0) >= amount


async def _history_agrees(
    store: Store,
    members: list[Member],
    current: dict[User, list[Connection]],
    facts: dict[User, list[Transition]],
) -> None:
    for each in members[:: len(members) // SAMPLE + 1]:
        user = User(target=each.target, user_id=each.user_id)
        never_polled = not current[user] and not facts[user] and each.observed_at is None
        if each.intent is Intent.REMOVED or never_polled:
            continue
        rows = {row.provider: row for row in current[user]}
        assert _faces(replay(facts[user])) == _faces(rows)
        newest = await store.views.snapshot_at(each.target, each.user_id, AFTER_ALL)
        assert {row.provider: row for row in newest.connections} == rows if newest else not rows


def _faces(connections: dict[str, Connection]) -> dict[str, Face]:
    return {name: (each.status, each.error_type, each.errored_at) for name, each in connections.items()}

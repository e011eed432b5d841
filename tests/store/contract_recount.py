"""What must hold of any store at any time: its counts, its current state, its history and its facts agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core import tally
from monitor.core.diff import replay
from monitor.core.model import Intent, User
from monitor.core.tally import Count, Key
from monitor.ports import TransitionFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.core.alerting import Alert
    from monitor.core.model import Connection, Transition
    from monitor.ports import Member, Store

AFTER_ALL: Final = datetime(2100, 1, 1, tzinfo=UTC)
SAMPLE: Final = 50
"""Users whose history is read one by one, at most about so many."""
Face = tuple[str, str | None, datetime | None]


async def agrees(store: Store) -> None:
    """Assert that everything in ``store`` agrees. Ends leases and resumes everybody: nothing is to follow it."""
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
    alerts = await _open_alerts(store, members)
    assert _kept(counts) == _recounted(members, current, alerts)


def _kept(counts: Mapping[Key, int]) -> dict[Key, int]:
    return {key: amount for key, amount in counts.items() if amount and key.count is not Count.TRANSITIONS}


def _recounted(members: list[Member], current: dict[User, list[Connection]], alerts: list[Alert]) -> dict[Key, int]:
    counts: Counter[Key] = Counter()
    for each in members:
        counts.update(tally.of_user(each.target, each.intent, each.presence))
    for user, rows in current.items():
        counts.update(tally.of_connections(user.target, rows))
    counts.update(Key(each.target, Count.ALERTS, each.provider, each.severity) for each in alerts)
    return dict(counts)


def _running_totals_cover(counts: Mapping[Key, int], facts: Iterable[list[Transition]]) -> None:
    for key, amount in tally.of_transitions(each for some in facts for each in some).items():
        assert counts[key] >= amount


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


async def _open_alerts(store: Store, members: list[Member]) -> list[Alert]:
    """Find the alerts the way a poll does, which takes everybody in hand."""
    alerts: list[Alert] = []
    for target in sorted({each.target for each in members}):
        users = [each.user_id for each in members if each.target == target and each.intent is not Intent.REMOVED]
        await store.cohort.set_intent(target, users, Intent.ACTIVE, now=AFTER_ALL)
        claims = await store.polls.claim_users(target, users, now=AFTER_ALL, lease=timedelta(seconds=1))
        assert {each.user.user_id for each in claims} == set(users)
        for known in (await store.polls.known(claims)).values():
            alerts.extend(known.open_alerts.values())
    return alerts

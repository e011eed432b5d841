"""The figures of ``monitor status``: users by state and freshness, connections by provider, status and error type."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.cli.moments import relative
from monitor.core import tally
from monitor.core.cadence import needed_rate, stretched
from monitor.core.tally import Count
from monitor.core.target_health import TargetHealth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from monitor.cli.cells import Cell
    from monitor.config import Config
    from monitor.core.tally import Key
    from monitor.core.target_health import TargetVerdict
    from monitor.ports import Freshness, Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked about; None means any."""

    target: str | None = None
    provider: str | None = None
    status: str | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The users of one target by state, how current the watch over them is, and whether its rate is enough.

    ``rate`` is the configured one in requests per second, None for a target that is not configured any more. ``unseen``
    counts users whose last two polls or more returned nothing, by how the last one ended.
    """

    target: str
    active: int
    paused: int
    gone: int
    freshness: Freshness
    interval: timedelta
    rate: float | None
    health: TargetHealth
    unseen: Mapping[str, int]

    @property
    def needed(self) -> float:
        """Requests per second that it takes to poll every active user once in each interval."""
        return needed_rate(self.active, self.interval)

    def shortfall(self) -> str | None:
        """Return a sentence where the rate cannot hold the interval."""
        from monitor.config.duration import shown  # noqa: PLC0415 - keeps the program's start quick

        if self.rate is None or self.needed <= self.rate:
            return None
        seen_every = shown(stretched(self.interval, self.active, self.rate))
        return (
            f"{self.target}: {self.active:,} users every {shown(self.interval)} need {self.needed:.4g} requests "
            f"a second, max_requests_per_second is {self.rate:g}; everyone is polled every {seen_every} instead"
        )

    def problems(self, now: datetime) -> list[str]:
        """Return a sentence for each thing that is wrong with the target or keeps users from being seen."""
        found = [f"{self.target}: {_verdict(each, now)}" for each in self.health.verdicts.values()]
        if any(self.unseen.values()):
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(self.unseen.items()) if number)
            found.append(f"{self.target}: users whose last polls returned nothing: {reasons}")
        return found

    def cells(self) -> tuple[Cell, ...]:
        """Return a row for people."""
        now = self.freshness
        return self.target, self.active, self.paused, self.gone, now.fresh, now.overdue, now.latest, now.oldest

    def record(self) -> dict[str, Any]:
        """Return an object of ``--json``."""
        return {
            "record": "users",
            "target": self.target,
            "active": self.active,
            "paused": self.paused,
            "gone": self.gone,
            "unseen": {reason: number for reason, number in sorted(self.unseen.items()) if number},
            "verdicts": [_record_of(each) for each in self.health.verdicts.values()],
            "fresh": self.freshness.fresh,
            "overdue": self.freshness.overdue,
            "needed_requests_per_second": round(self.needed, 3),
            "max_requests_per_second": self.rate,
            "latest_observed_at": self.freshness.latest,
            "oldest_observed_at": self.freshness.oldest,
        }


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Connections:
    """How many connections have the same provider, status and error type."""

    target: str
    provider: str
    status: str
    error_type: str
    number: int

    def cells(self) -> tuple[Cell, ...]:
        """Return a row for people."""
        return self.target, self.provider, self.status, self.error_type or None, self.number

    def record(self) -> dict[str, Any]:
        """Return an object of ``--json``."""
        return {
            "record": "counts",
            "target": self.target,
            "provider": self.provider,
            "status": self.status,
            "error_type": self.error_type or None,
            "connections": self.number,
        }


def _verdict(verdict: TargetVerdict, now: datetime) -> str:
    provider = f" ({verdict.provider})" if verdict.provider else ""
    return f"{verdict.fault.reason}{provider} since {relative(verdict.since, now)}: {verdict.fault.description}"


def _record_of(verdict: TargetVerdict) -> dict[str, Any]:
    return {
        "reason": verdict.fault.reason,
        "provider": verdict.provider,
        "since": verdict.since,
        "code": verdict.code,
        "detail": verdict.detail,
    }


async def users(config: Config, views: Views, wanted: Wanted, now: datetime) -> list[Users]:
    """Return the users of the configured targets, and of others that still have some."""
    counts = {key: number for key, number in (await views.counts()).items() if key.count in {Count.USERS, Count.UNSEEN}}
    health = await views.health()
    targets = config.targets.keys() | {key.target for key, number in counts.items() if number}
    return [
        Users(
            target=target,
            interval=config.poll.interval,
            rate=config.targets[target].max_requests_per_second if target in config.targets else None,
            freshness=await views.freshness(target, interval=config.poll.interval, now=now),
            health=health.get(target, TargetHealth()),
            unseen={each.a: n for each, n in counts.items() if (each.target, each.count) == (target, Count.UNSEEN)},
            **{state: counts.get(tally.Key(target, Count.USERS, state), 0) for state in ("active", "paused", "gone")},
        )
        for target in sorted(targets)
        if wanted.target in (None, target)
    ]


async def connections(views: Views, wanted: Wanted) -> list[Connections]:
    """Return how many connections there are of each sort; of one user by counting that user's own."""
    counts = await views.counts() if wanted.user_id is None else await _of_user(views, wanted)
    return sorted(
        Connections(target=key.target, provider=key.a, status=key.b, error_type=key.c, number=number)
        for key, number in counts.items()
        if number and key.count is Count.CONNECTIONS and _matches(key, wanted)
    )


async def _of_user(views: Views, wanted: Wanted) -> Mapping[Key, int]:
    counts: Counter[Key] = Counter()
    async for each in views.connections(target=wanted.target, user_id=wanted.user_id):
        counts += tally.of_connections(each.target, [each.connection])
    return counts


def _matches(key: Key, wanted: Wanted) -> bool:
    return all(
        asked in (None, found)
        for asked, found in ((wanted.target, key.target), (wanted.provider, key.a), (wanted.status, key.b))
    )

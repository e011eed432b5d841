"""How good alert decisions are: a seeded month of 10,000 users, in simulated time.

The world is made here: what breaks when, and why. Every user is polled at its place in the interval
(:func:`monitor.core.cadence.next_due`) unless the API is down or the key is revoked; what two polls see goes through
the daemon's own diff, and the transitions through the daemon's own evaluation. HTTP and SQL are left out.

Run with ``make bench-alerts``. A *page* is a firing alert or incident of severity warning or critical, the strictest
reading: many teams are woken by critical alone, so these are told apart too. The naive policy pages for each
transition.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from monitor.core.alerting import AlertState
from monitor.core.cadence import next_due
from monitor.core.diff import depart, diff, patch
from monitor.core.model import Connection, Presence, Snapshot, Transition, User, UserState
from monitor.core.policy import Policy, Severity, flapping_rule, incident_rule
from monitor.store.memory.rehearsal import Rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from monitor.core.evaluation import Outcome

START: Final = datetime(2026, 6, 1, tzinfo=UTC)
DAYS: Final = 30
END: Final = START + timedelta(days=DAYS)
INTERVAL: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
TARGET: Final = "bench"
PROVIDERS: Final[Mapping[str, float]] = {
    "fitbit": 0.30,
    "garmin": 0.25,
    "oura": 0.20,
    "dexcom_v3": 0.15,
    "withings": 0.10,
}
ERRORS: Final[Mapping[str, float]] = {
    "token_refresh_failed": 0.55,
    "deregistered_per_provider": 0.25,
    "provider_credential_error": 0.10,
    "required_scopes_not_granted": 0.05,
    "user_not_found": 0.05,
}
BREAKS_A_DAY: Final = 0.002
"""Of all connections; a fifth of a percent a day."""
HEALS: Final = 0.6
FLAPPERS: Final = 50
FLAPS_EVERY: Final = (5, 30)
"""Minutes between two changes of a connection that flaps, evenly drawn."""
ADOPTED: Final = 2500
ADOPTED_BROKEN: Final = 2000
DELETED: Final = 100
OUTAGE: Final = (START + timedelta(days=12, hours=3), START + timedelta(days=12, hours=4))
REVOKED: Final = (START + timedelta(days=18, hours=9), START + timedelta(days=18, hours=12))
ADOPTION: Final = START + timedelta(days=9)
LOUD: Final = frozenset({Severity.WARNING, Severity.CRITICAL})
SEVERITIES: Final = {"deregistered_per_provider": Severity.INFO, "webhook_registration_failed": Severity.CRITICAL}
HERE: Final = Path(__file__).parent

Place = tuple[UUID, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that the world does to a connection: a status and an error type, None for no row."""

    at: datetime
    user: UUID
    provider: str
    error_type: str | None
    cause: str
    """What it is part of: ``single-17``, ``wave-fitbit``, ``flap-3``, or empty where it heals."""


@dataclass(slots=True)
class World:
    """A month: who is there when, what their connections do, and when nobody could look."""

    random: random.Random
    users: dict[UUID, tuple[str, ...]] = field(default_factory=dict)
    since: dict[UUID, datetime] = field(default_factory=dict)
    broken: set[Place] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    deleted: dict[UUID, datetime] = field(default_factory=dict)
    busy: set[Place] = field(default_factory=set)

    def at(self, start: datetime, end: datetime) -> datetime:
        """Return some time between two."""
        return start + (end - start) * self.random.random()

    def place(self, among: Iterable[Place]) -> Place:
        """Return a connection of its own for something to happen to."""
        free = [each for each in among if each not in self.busy]
        found = self.random.choice(free)
        self.busy.add(found)
        return found


def make(seed: int, users: int) -> World:
    """Return the month that a seed stands for."""
    world = World(random.Random(seed))  # noqa: S311 - a seeded world
    _enrol(world, users)
    places = [(user, each) for user, providers in world.users.items() for each in providers]
    first = [each for each in places if world.since[each[0]] == START]
    _flap(world, first)
    _wave(
        world, first, "fitbit", "token_refresh_failed", START + timedelta(days=6, hours=14), 0.40, timedelta(minutes=10)
    )
    _wave(
        world,
        first,
        "garmin",
        "provider_credential_error",
        START + timedelta(days=22, hours=2),
        0.30,
        timedelta(minutes=20),
    )
    _break_singly(world, places)
    for user in world.random.sample([each for each in world.users if world.since[each] == START], DELETED):
        world.deleted[user] = world.at(START + timedelta(days=1), END - timedelta(days=1))
    world.changes.sort(key=lambda each: each.at)
    return world


def _enrol(world: World, users: int) -> None:
    for number in range(users):
        user = UUID(int=world.random.getrandbits(128), version=4)
        count = world.random.choices((1, 2, 3), (0.5, 0.35, 0.15))[0]
        weights = list(PROVIDERS.values())
        chosen = {world.random.choices(list(PROVIDERS), weights)[0] for _ in range(count)}
        world.users[user] = tuple(sorted(chosen))
        adopted = number >= users - ADOPTED
        world.since[user] = ADOPTION if adopted else START
        if adopted and number < users - ADOPTED + ADOPTED_BROKEN:
            world.broken.add((user, world.users[user][0]))
            world.busy.add((user, world.users[user][0]))


def _flap(world: World, places: list[Place]) -> None:
    for number in range(FLAPPERS):
        user, provider = world.place(places)
        now, is_broken = world.at(START, START + timedelta(days=2)), False
        while now < END:
            is_broken = not is_broken
            error = "token_refresh_failed" if is_broken else None
            world.changes.append(Change(at=now, user=user, provider=provider, error_type=error, cause=f"flap-{number}"))
            now += timedelta(minutes=world.random.uniform(*FLAPS_EVERY))


def _wave(
    world: World, places: list[Place], provider: str, error: str, start: datetime, share: float, over: timedelta
) -> None:
    theirs = [each for each in places if each[1] == provider and each not in world.busy]
    for user, _ in world.random.sample(theirs, int(share * len(theirs))):
        world.busy.add((user, provider))
        broke = world.at(start, start + over)
        healed = world.at(start + 4 * HOUR, start + 8 * HOUR)
        cause = f"wave-{provider}"
        world.changes.append(Change(at=broke, user=user, provider=provider, error_type=error, cause=cause))
        world.changes.append(Change(at=healed, user=user, provider=provider, error_type=None, cause=""))


def _break_singly(world: World, places: list[Place]) -> None:
    for number in range(int(BREAKS_A_DAY * DAYS * len(places))):
        user, provider = world.place(places)
        began = world.at(max(START, world.since[user]) + HOUR, END - 2 * HOUR)
        error = world.random.choices(list(ERRORS), list(ERRORS.values()))[0]
        world.changes.append(Change(at=began, user=user, provider=provider, error_type=error, cause=f"single-{number}"))
        if world.random.random() < HEALS:
            healed = began + HOUR * world.random.expovariate(1 / 24) + timedelta(minutes=31)
            world.changes.append(Change(at=healed, user=user, provider=provider, error_type=None, cause=""))


def observed(world: World) -> list[Transition]:
    """Return what the monitor's polls find, oldest first."""
    changes: defaultdict[UUID, list[Change]] = defaultdict(list)
    for each in world.changes:
        changes[each.user].append(each)
    found = [each for user in world.users for each in _life(world, user, changes[user])]
    return sorted(found, key=lambda each: each.observed_at)


def _life(world: World, user: UUID, changes: list[Change]) -> Iterable[Transition]:
    """Poll one user, but only where something is new: between, all polls are unchanged."""
    rows = {each: _row(each, None) for each in world.users[user]}
    for place in world.broken & {(user, each) for each in rows}:
        rows[place[1]] = _row(place[1], "token_refresh_failed")
    state = UserState(user=User(target=TARGET, user_id=user))
    gone, now = world.deleted.get(user), _poll_after(user, world.since[user])
    state, found = _see(state, rows, now)
    yield from found
    times = [each.at for each in changes]
    while True:
        done = bisect.bisect_left(times, now)
        nexts = [each for each in (changes[done].at if done < len(changes) else None, gone) if each and each >= now]
        if not nexts:
            return
        now = _poll_after(user, min(nexts))
        if now >= END:
            return
        if gone and gone < now:
            yield from depart(state, _poll_after(user, now + timedelta(seconds=60)))
            return
        for each in changes[done : bisect.bisect_left(times, now)]:
            rows[each.provider] = _row(each.provider, each.error_type, each.at)
        state, found = _see(state, rows, now)
        yield from found


def _see(state: UserState, rows: Mapping[str, Connection], now: datetime) -> tuple[UserState, tuple[Transition, ...]]:
    snapshot = Snapshot(connections=dict(rows))
    found = diff(state, snapshot, now)
    after = patch(state.connections, snapshot)
    return UserState(user=state.user, connections=after, observed_at=now, presence=Presence.PRESENT), found


def _row(provider: str, error_type: str | None, errored_at: datetime | None = None) -> Connection:
    status = "error" if error_type else "connected"
    return Connection(provider=provider, status=status, error_type=error_type, errored_at=errored_at)


def _poll_after(user: UUID, moment: datetime) -> datetime:
    """Return the user's first poll after a moment that gets an answer."""
    due = next_due(user, INTERVAL, moment)
    for began, ended in (OUTAGE, REVOKED):
        if began <= due < ended:
            due = next_due(user, INTERVAL, ended)
    return due


@dataclass(slots=True)
class Score:
    """What a policy's decisions are worth, against what the world knows."""

    pages: Counter[str] = field(default_factory=Counter)
    by_cause: Counter[str] = field(default_factory=Counter)
    told: dict[str, datetime] = field(default_factory=dict)
    alerted: set[Place] = field(default_factory=set)
    incidents: int = 0
    resolved: int = 0
    quiet: int = 0


def policy() -> Policy:
    """Return the policy of a configuration without any alert settings."""
    rule = incident_rule(min_users=5, min_share=0.05, within=timedelta(minutes=15), interval=INTERVAL)
    flapping = flapping_rule(transitions=4, within=HOUR, interval=INTERVAL)
    return Policy(severities=SEVERITIES, flapping=flapping, incident=rule)


async def decide(transitions: list[Transition]) -> list[tuple[datetime, Outcome]]:
    """Return what the daemon decides on these transitions."""

    async def oldest_first() -> AsyncIterator[Transition]:
        for each in transitions:
            yield each

    return [each async for each in Rehearsal(policy()).run(oldest_first(), END)]


def score(world: World, decided: list[tuple[datetime, Outcome]]) -> Score:
    """Attribute every firing alert to its cause in the world."""
    causes: dict[Place, list[Change]] = defaultdict(list)
    for change in world.changes:
        if change.error_type:
            causes[change.user, change.provider].append(change)
    found = Score()
    for at, outcome in decided:
        for step in outcome.incidents:
            if step.was is None:
                found.incidents += 1
                _page(found, step.incident.severity, f"wave-{step.incident.key.provider}")
        for each in outcome.decisions:
            if not each.told:
                continue
            if each.state is AlertState.RESOLVED:
                found.resolved += 1
                continue
            place = (each.alert.user.user_id, each.alert.provider)
            cause = _cause(causes[place], at)
            found.told.setdefault(cause if not cause.startswith("wave") else f"{cause} {place[0]}", at)
            found.alerted.add(place)
            _page(found, each.alert.severity, cause)
    return found


def _cause(changes: list[Change], at: datetime) -> str:
    place = bisect.bisect_right([each.at for each in changes], at)
    return changes[place - 1].cause if place else "old error"


def _page(found: Score, severity: Severity, cause: str) -> None:
    found.pages[severity] += 1
    if severity in LOUD:
        found.by_cause[cause] += 1
    else:
        found.quiet += 1


def report(world: World, transitions: list[Transition], found: Score, took: float) -> tuple[str, bool]:
    """Return the figures as text, and whether the goals are met."""
    visible = _visible(world, transitions)
    missed = [key for key in visible if key not in found.told]
    delays = sorted((found.told[key] - began).total_seconds() for key, began in visible.items() if key in found.told)
    pages = sum(found.by_cause.values())
    naive = sum(1 for each in transitions)
    news = sum(1 for each in transitions if not each.baseline)
    waves = {name: amount for name, amount in found.by_cause.items() if name.startswith("wave")}
    flaps = sum(amount for name, amount in found.by_cause.items() if name.startswith("flap"))
    singles = [amount for name, amount in found.by_cause.items() if name.startswith("single")]
    needless = _needless(found)
    recall = 1 - len(missed) / len(visible)
    old = found.by_cause["old error"]
    met = not missed and all(each == 1 for each in waves.values()) and not old and pages < 0.02 * naive
    size = f"{len(world.users):,} users, {sum(map(len, world.users.values())):,} connections, {DAYS} days"
    lines = [
        f"{size}, polled every 15 min: {len(transitions):,} transitions, decided in {took:.0f} s",
        "",
        "| | monitor | naive: a page for each transition |",
        "|---|---|---|",
        f"| breakages that a poll could see | {len(visible):,} | |",
        f"| of these alerted on (recall) | {recall:.2%} | |",
        f"| pages (warning or critical) | {pages:,} | {naive:,} ({news:,} without first snapshots) |",
        f"| share of the naive number | {pages / naive:.2%} ({pages / news:.2%}) | |",
        f"| of these critical | {found.pages[Severity.CRITICAL]:,} | |",
        f"| pages that no one needed | {needless:,} | {naive - (pages - needless):,} |",
        f"| pages for each provider wave | {', '.join(map(str, waves.values()))} | |",
        f"| pages for each single breakage | {statistics.mean(singles):.3f} | |",
        f"| pages for {FLAPPERS} connections that flap for a month | {flaps:,} | |",
        f"| pages at adoption, outage and revoked key | {old:,} | |",
        f"| told quietly (info) | {found.quiet:,} | |",
        f"| from breaking to alert, median and p99 | {_quantile(delays, 0.5)}, {_quantile(delays, 0.99)} | |",
    ]
    lines += ["", "Missed: " + ", ".join(missed[:10])] if missed else []
    return "\n".join(lines), met


def _visible(world: World, transitions: list[Transition]) -> dict[str, datetime]:
    """Return breakages that lasted until a poll, by what told of them, and when they began."""
    seen: defaultdict[Place, list[datetime]] = defaultdict(list)
    for each in transitions:
        if each.status == "error" and not each.baseline and each.provider:
            seen[each.user_id, each.provider].append(each.observed_at)
    visible: dict[str, datetime] = {}
    for change in world.changes:
        if change.error_type and any(at >= change.at for at in seen[change.user, change.provider]):
            name = change.cause if not change.cause.startswith("wave") else f"{change.cause} {change.user}"
            visible.setdefault(name, change.at)
    return visible


def _needless(found: Score) -> int:
    """Return pages beyond the first for each cause, and those for what was no news."""
    extra = sum(amount - 1 for name, amount in found.by_cause.items() if name != "old error")
    return extra + found.by_cause["old error"]


def _quantile(delays: list[float], share: float) -> str:
    seconds = delays[min(len(delays) - 1, int(share * len(delays)))]
    return f"{seconds / 60:.1f} min"


def main() -> int:
    """Run, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="make bench-alerts", description="Measure the quality of alert decisions.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=10_000, help="how many, 5000 or more")
    parser.add_argument("--keep", action="store_true", help="write tests/benchmarks/ALERTS.md")
    given = parser.parse_args()
    if given.users < 2 * ADOPTED:
        parser.error(f"--users: expected {2 * ADOPTED} or more")
    world = make(given.seed, given.users)
    transitions = observed(world)
    began = time.perf_counter()
    decided = asyncio.run(decide(transitions))
    text, met = report(world, transitions, score(world, decided), time.perf_counter() - began)
    sys.stdout.write(f"{text}\n\n{'all goals met' if met else 'A GOAL WAS MISSED'}\n")
    if given.keep:
        (HERE / "ALERTS.md").write_text(f"# Quality of alert decisions\n\nSeed {given.seed}: {text}\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

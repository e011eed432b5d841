"""One of everything: the values that the examples are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from monitor.core.diff import diff
from monitor.core.judge import NO_DOUBTS, Cadence, Claim, Doubt, Doubts, TargetView
from monitor.core.model import Connection, Outcome, Presence, Snapshot, User, UserState
from monitor.core.policy import Policy, Severity
from monitor.core.target_health import Fault, RecentPoll, RecentPolls, TargetHealth, TargetVerdict, verdict_key

if TYPE_CHECKING:
    from monitor.core.model import Transition

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER: Final = NOON + timedelta(minutes=15)
USER: Final = User(target="acme_us", user_id=UUID("a6f3c1de-0b5e-4f3a-9c39-0d1a2b3c4d5e"))
POLICY: Final = Policy(severities={"deregistered_per_provider": Severity.INFO, "unknown": Severity.NONE})
CADENCE: Final = Cadence(interval=timedelta(minutes=15), gone_interval=timedelta(days=1))


def connected(provider: str = "fitbit", **resources: str) -> Connection:
    """Return a healthy row."""
    return Connection(provider=provider, status="connected", created_on=NOON - timedelta(days=9), resources=resources)


def broken(provider: str = "fitbit", error_type: str | None = "token_refresh_failed", **resources: str) -> Connection:
    """Return a row in error since an hour before noon."""
    return Connection(
        provider=provider,
        status="error",
        error_type=error_type,
        error_message="The provider refused to refresh the token.",
        errored_at=NOON - timedelta(hours=1),
        resources=resources,
    )


def paused(provider: str = "fitbit") -> Connection:
    """Return a row that somebody paused on purpose."""
    return Connection(provider=provider, status="paused")


def snapshot(*rows: Connection, complete: bool = True) -> Snapshot:
    """Return what a poll saw, with one malformed row where it is not complete."""
    return Snapshot(
        connections={each.provider: each for each in rows}, complete=complete, malformed_rows=0 if complete else 1
    )


def state(*rows: Connection, observed_at: datetime | None = NOON, presence: Presence = Presence.PRESENT) -> UserState:
    """Return what is known of the user, last seen at noon."""
    return UserState(
        user=USER, connections={each.provider: each for each in rows}, observed_at=observed_at, presence=presence
    )


def claim(
    *,
    observed_at: datetime | None = NOON,
    presence: Presence = Presence.PRESENT,
    missing_since: datetime | None = None,
    failures: int = 0,
    digest: bytes | None = b"last answer",
    outcome: str | None = None,
    doubts: Doubts = NO_DOUBTS,
    unlisted_at: datetime | None = None,
    reason: str | None = None,
) -> Claim:
    """Return the user in hand, due now."""
    return Claim(
        key=1,
        user=USER,
        lease=1,
        due_at=LATER,
        observed_at=observed_at,
        presence=presence,
        missing_since=missing_since,
        failures=failures,
        digest=digest,
        outcome=outcome,
        doubts=doubts,
        unlisted_at=unlisted_at,
        reason=reason,
    )


def doubt(first: datetime, since: datetime | None = None) -> Doubt:
    """Return an absence whose first answer came at ``first``, noticed then or before."""
    return Doubt(since=since or first, first=first)


def view(
    *faults: Fault,
    provider: str | None = None,
    ended: datetime | None = None,
    polled: int = 10,
    outcome: Outcome | None = None,
    lacking: int = 0,
) -> TargetView:
    """Return a target with these faults, or whose faults ended then, and a hundred users.

    As many other users were ``polled`` just now, all with the same ``outcome``; some were ``lacking`` a row of Fitbit.
    """
    keys = [verdict_key(fault, provider) for fault in faults]
    verdicts = {key: TargetVerdict(fault=fault, since=NOON) for key, fault in zip(keys, faults, strict=True)}
    health = TargetHealth(verdicts=verdicts) if ended is None else TargetHealth(ended=dict.fromkeys(keys, ended))
    fitbit = frozenset({"fitbit"})
    polls = [
        RecentPoll(key=100 + n, at=LATER, outcome=outcome, missing=fitbit if n < lacking else frozenset())
        for n in range(polled)
    ]
    return TargetView(health=health, recent=RecentPolls(polls=polls, users=100))


def between(*before: Connection, after: tuple[Connection, ...], presence: Presence = Presence.PRESENT) -> list[str]:
    """Return what the diff says of two sets of rows, a ``kind provider resource`` each."""
    found = diff(state(*before, presence=presence), snapshot(*after), LATER)
    return [" ".join(filter(None, (each.kind, each.provider, each.resource))) for each in found]


def only(transitions: tuple[Transition, ...]) -> Transition:
    """Return the one transition there is."""
    (found,) = transitions
    return found


def errored(row: Connection | None = None) -> Transition:
    """Return the transition of a connection that broke."""
    row = row or broken()
    return only(diff(state(connected(row.provider)), snapshot(row), LATER))

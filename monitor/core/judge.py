"""The one decision of a poll: from what is known and what came back to everything that is to be committed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.core import tally
from monitor.core.budget import PROBE_EVERY
from monitor.core.cadence import SECOND_404_AFTER, backoff, next_due
from monitor.core.diff import depart, diff, patch
from monitor.core.model import Intent, Outcome, Presence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.model import Connection, Snapshot, Transition, User, UserState

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One user in hand. ``key`` is the store's handle; ``lease`` proves inside the commit that it is still ours."""

    key: int
    user: User
    lease: int
    due_at: datetime
    observed_at: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store remembers of a user beyond its claim: needed only when an answer says something new."""

    state: UserState


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often users are due."""

    interval: timedelta
    gone_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The part of a verdict that moves state. ``connections`` is all there is after it, None where it stays."""

    transitions: tuple[Transition, ...]
    connections: Mapping[str, Connection] | None
    counts: Counter[tally.Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one poll comes to; committed as a whole or not at all.

    ``observed_at`` is the time of this good snapshot, None where nothing was observed. ``digest`` is that of the
    last answer, None where it must be parsed next time. ``reason`` is for a person, kept with an invalid user.
    """

    claim: Claim
    outcome: Outcome
    next_poll_at: datetime
    observed_at: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None
    reason: str | None = None
    change: Change | None = None

    @property
    def only_times(self) -> bool:
        """Whether nothing about the user is new but when it was seen and is due, and that the last poll was good."""
        return self.outcome is Outcome.UNCHANGED and self.digest is not None and self.digest == self.claim.digest


def unchanged(claim: Claim, cadence: Cadence, now: datetime) -> Verdict:
    """Judge an answer whose bytes are those of the last one."""
    return Verdict(
        claim=claim,
        outcome=Outcome.UNCHANGED,
        next_poll_at=next_due(claim.user.user_id, cadence.interval, now),
        observed_at=_observed(claim, now),
        digest=claim.digest,
    )


def seen(
    claim: Claim,
    known: Known,
    snapshot: Snapshot,
    digest: bytes,
    cadence: Cadence,
    now: datetime,
) -> Verdict:
    """Judge an answer that was read. An incomplete one is parsed again next time, so that it is counted."""
    observed_at = _observed(claim, now)
    transitions = diff(known.state, snapshot, observed_at)
    after = patch(known.state.connections, snapshot)
    news = bool(transitions) or after != known.state.connections or known.state.observed_at is None
    return Verdict(
        claim=claim,
        outcome=Outcome.CHANGED if news else Outcome.UNCHANGED,
        next_poll_at=next_due(claim.user.user_id, cadence.interval, now),
        observed_at=observed_at,
        digest=digest if snapshot.complete else None,
        change=_change(known, after, transitions, Presence.PRESENT) if news else None,
    )


def missing(claim: Claim, known: Known | None, cadence: Cadence, now: datetime, *, trusted: bool) -> Verdict:
    """Judge a 404. It takes a second one, at least 60 s after the first, of a trusted target to declare a user gone.

    Args:
        claim: the user in hand.
        known: what is remembered; needed when :func:`confirms` says so.
        cadence: how often users are due.
        now: when the answer came.
        trusted: whether the target's word on absence counts, see :attr:`Health.trusts_absence`.
    """
    if claim.presence is Presence.GONE:
        return _absent(claim, claim.missing_since, next_due(claim.user.user_id, cadence.gone_interval, now))
    if known is None or not confirms(claim, now, trusted=trusted):
        again = max(SECOND_404_AFTER, backoff(claim.user.user_id, claim.failures + 1, cadence.interval))
        return Verdict(
            claim=claim,
            outcome=Outcome.GONE,
            next_poll_at=now + again,
            digest=claim.digest,
            failures=claim.failures + 1,
            presence=claim.presence,
            missing_since=min(claim.missing_since or now, now),
        )
    observed_at = _observed(claim, now)
    change = _change(known, {}, depart(known.state, observed_at), Presence.GONE)
    return _absent(claim, observed_at, next_due(claim.user.user_id, cadence.gone_interval, now), change)


def confirms(claim: Claim, now: datetime, *, trusted: bool) -> bool:
    """Return whether a 404 at ``now`` declares the claimed user gone."""
    first = claim.missing_since
    return trusted and claim.presence is not Presence.GONE and first is not None and now - first >= SECOND_404_AFTER


def invalid(claim: Claim, reason: str, now: datetime) -> Verdict:
    """Judge a 422: the registration is bad, so the user is paused with the reason."""
    counts = tally.difference(
        tally.of_user(claim.user.target, Intent.ACTIVE, claim.presence),
        tally.of_user(claim.user.target, Intent.ACTIVE, Presence.INVALID),
    )
    return Verdict(
        claim=claim,
        outcome=Outcome.INVALID,
        next_poll_at=now,
        digest=claim.digest,
        presence=Presence.INVALID,
        reason=reason,
        change=Change(transitions=(), connections=None, counts=counts),
    )


def unobserved(claim: Claim, outcome: Outcome, cadence: Cadence, now: datetime) -> Verdict:
    """Judge any answer that showed nothing: no state moves, the user is due again after a back-off.

    While a target rejects us its users stay due, so that each probe finds one; the target's health keeps the pace.
    """
    failures = claim.failures + 1
    interval = cadence.gone_interval if claim.presence is Presence.GONE else cadence.interval
    if outcome is Outcome.REJECTED:
        interval = min(interval, PROBE_EVERY)
    return Verdict(
        claim=claim,
        outcome=outcome,
        next_poll_at=now + backoff(claim.user.user_id, failures, interval),
        digest=claim.digest,
        failures=failures,
        presence=claim.presence,
        missing_since=claim.missing_since,
    )


def _absent(claim: Claim, since: datetime | None, next_poll_at: datetime, change: Change | None = None) -> Verdict:
    return Verdict(
        claim=claim,
        outcome=Outcome.GONE,
        next_poll_at=next_poll_at,
        presence=Presence.GONE,
        missing_since=since,
        change=change,
    )


def _observed(claim: Claim, now: datetime) -> datetime:
    """Keep a user's observations in order where the clock stepped back, so that no two pairs look the same."""
    left = claim.missing_since if claim.presence is Presence.GONE else None
    return max([now, *(each + TICK for each in (claim.observed_at, left) if each is not None)])


def _change(
    known: Known,
    after: Mapping[str, Connection],
    transitions: tuple[Transition, ...],
    presence: Presence,
) -> Change:
    state = known.state
    target = state.user.target
    counts = tally.difference(
        tally.of_connections(target, state.connections.values()) + tally.of_user(target, Intent.ACTIVE, state.presence),
        tally.of_connections(target, after.values()) + tally.of_user(target, Intent.ACTIVE, presence),
    )
    counts.update(tally.of_transitions(transitions))
    return Change(
        transitions=transitions,
        connections=after,
        counts=Counter({key: amount for key, amount in counts.items() if amount}),
    )

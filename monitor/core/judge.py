"""The one decision of a poll: from what is known and what came back to everything that is to be committed.

An absence (a row that is no longer there, a 404, a 422) is doubted at first: it is believed when a second answer at
least 60 s later confirms it, after ten other users were polled, and while the target as a whole is plausible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping  # noqa: TC003 - read at runtime, where doubts are stored
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core import tally
from monitor.core.cadence import CONFIRM_AFTER, backoff, next_due
from monitor.core.diff import depart, diff, patch
from monitor.core.model import Intent, Outcome, Presence
from monitor.core.target_health import PROBE_REJECTED_EVERY, Fault, RecentPolls, TargetHealth, verdict_key

if TYPE_CHECKING:
    from monitor.core.model import Connection, Snapshot, Transition, User, UserState

TICK: Final = timedelta(microseconds=1)
Faults = tuple[str, ...]
"""Keys of verdicts on a target, see :func:`monitor.core.target_health.verdict_key`."""
OF_NOT_FOUND: Final[Faults] = (Fault.NOT_FOUND.value,)
OF_INVALID: Final[Faults] = (Fault.USERS_INVALID.value,)
LONGEST_RETRY_AFTER: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An absence that is not confirmed.

    ``since`` is when it was first seen. ``first`` is the answer that a second one may confirm: it begins anew after a
    time in which the target was implausible.
    """

    since: datetime
    first: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What of a user is absent and not confirmed to be: the user (404), its registration (422), connections."""

    not_found: Doubt | None = None
    invalid: Doubt | None = None
    connections: Mapping[str, Doubt] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is in doubt."""
        return self.not_found is not None or self.invalid is not None or bool(self.connections)


NO_DOUBTS: Final = Doubts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One user in hand. ``key`` is the store's handle; ``lease`` proves inside the commit that it is still ours.

    ``outcome`` tells how the last poll failed, None where it was good. ``unlisted_at``: a complete user list that was
    read from then on does not name the user. ``reason`` says for a person why an invalid user is paused.
    """

    key: int
    user: User
    lease: int
    due_at: datetime
    observed_at: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None
    outcome: str | None = None
    doubts: Doubts = NO_DOUBTS
    unlisted_at: datetime | None = None
    reason: str | None = None

    @property
    def counts(self) -> Counter[tally.Key]:
        """How the user counts before the poll."""
        return tally.of_user(self.user.target, Intent.ACTIVE, self.presence, self.failures, self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store remembers of a user beyond its claim: needed only when an answer says something new."""

    state: UserState


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often users are due, and after how long an absence is believed whatever the target's state is."""

    interval: timedelta
    gone_interval: timedelta
    believe_absence_after: timedelta = timedelta(days=1)

    def of(self, presence: Presence) -> timedelta:
        """Return in which interval a user is polled once."""
        return self.interval if presence is Presence.PRESENT else self.gone_interval

    def longest_wait(self, presence: Presence, *, failed: bool) -> timedelta:
        """Return how far ahead a user may be due; only where Junction asked it to wait is it more than the interval."""
        interval = self.of(presence)
        return max(interval, LONGEST_RETRY_AFTER) if failed else interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """What a target's state and its other users say, against which an absence is judged."""

    health: TargetHealth = field(default_factory=TargetHealth)
    recent: RecentPolls = field(default_factory=lambda: RecentPolls(polls=(), users=1))

    def confirms(self, key: int, doubt: Doubt, faults: Faults, now: datetime) -> bool:
        """Return whether an answer at ``now`` confirms ``doubt`` about the user ``key``.

        It does not while one of ``faults`` lasts, and answers from before its end confirm nothing. Nor does it where
        many of those polled since lack the same: in a large cohort a fault takes a while to be seen in a fifth of it.
        """
        if self.health.has_any(faults) or doubt.first < self.health.last_end_of(faults):
            return False
        if now - doubt.first < CONFIRM_AFTER or not self.recent.polled_others(key, doubt.first):
            return False
        return self.recent.after(doubt.first).shared_absences.isdisjoint(faults)

    def renewed(self, doubt: Doubt | None, faults: Faults, now: datetime) -> Doubt:
        """Return the doubt after one more answer with the absence; times that a clock ahead has left are cut."""
        if doubt is None:
            return Doubt(since=now, first=now)
        begins_anew = doubt.first > now or doubt.first < self.health.last_end_of(faults)
        return Doubt(since=min(doubt.since, now), first=now if begins_anew else doubt.first)


CALM: Final = TargetView()
NOT_FOUND_REASON: Final = "Junction does not know the user (404)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The part of a verdict that moves state. ``connections`` is all there is after it, None where it stays."""

    transitions: tuple[Transition, ...]
    connections: Mapping[str, Connection] | None
    counts: Counter[tally.Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one poll comes to; committed as a whole or not at all.

    ``observed_at`` is the time of this good snapshot, None where nothing was observed; ``failed_at`` the opposite.
    ``digest`` is that of the last answer, None where it must be parsed next time. ``reason`` is for a person: why the
    user was not seen, or is invalid.
    """

    claim: Claim
    outcome: Outcome
    next_poll_at: datetime
    observed_at: datetime | None = None
    failed_at: datetime | None = None
    digest: bytes | None = None
    failures: int = 0
    presence: Presence = Presence.PRESENT
    missing_since: datetime | None = None
    doubts: Doubts = NO_DOUBTS
    reason: str | None = None
    change: Change | None = None

    @property
    def only_times(self) -> bool:
        """Whether nothing about the user is new but when it was seen and is due, and that the last poll was good."""
        same = self.outcome is Outcome.UNCHANGED and self.digest is not None and self.digest == self.claim.digest
        return same and self.claim.outcome is None and not self.claim.doubts

    @property
    def counts(self) -> Counter[tally.Key]:
        """By how much the poll moves the counts."""
        outcome = None if self.failed_at is None else self.outcome.value
        after = tally.of_user(self.claim.user.target, Intent.ACTIVE, self.presence, self.failures, outcome)
        moved = tally.difference(self.claim.counts, after)
        if self.change is not None:
            moved.update(self.change.counts)
        return moved


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
    view: TargetView = CALM,
) -> Verdict:
    """Judge an answer that was read.

    Rows that the answer lacks stay as they are until their absence is confirmed. An answer that is incomplete, or
    lacks such rows, is parsed again next time.
    """
    observed_at = _observed(claim, now)
    doubted = _doubted_rows(claim, known, snapshot, cadence, now, view)
    kept = {provider: known.state.connections[provider] for provider in doubted}
    believed = replace(snapshot, connections={**snapshot.connections, **kept}) if kept else snapshot
    transitions = diff(known.state, believed, observed_at)
    after = patch(known.state.connections, believed)
    news = bool(transitions) or after != known.state.connections or known.state.observed_at is None
    # An invalid user that answers again changes no connection, but its state.
    news = news or known.state.presence is not Presence.PRESENT
    return Verdict(
        claim=claim,
        outcome=Outcome.CHANGED if news else Outcome.UNCHANGED,
        next_poll_at=_due_to_confirm(claim, doubted.values(), cadence, now),
        observed_at=observed_at,
        digest=digest if snapshot.complete and not doubted else None,
        doubts=Doubts(connections=doubted),
        change=_change(known, after, transitions) if news else None,
    )


def missing_rows(known: Known, snapshot: Snapshot) -> frozenset[str]:
    """Return the providers that a user had and that a complete answer lacks."""
    if not snapshot.complete:
        return frozenset()
    return frozenset(known.state.connections.keys() - snapshot.connections.keys())


def missing(claim: Claim, known: Known | None, cadence: Cadence, now: datetime, view: TargetView = CALM) -> Verdict:
    """Judge a 404.

    Args:
        claim: the user in hand.
        known: what is remembered; without it the user is never declared gone.
        cadence: how often users are due.
        now: when the answer came.
        view: what the target's state and its other users say.
    """
    if claim.presence is not Presence.PRESENT:
        return _absent_still(claim, Outcome.GONE, cadence, now)
    held = claim.doubts.not_found
    if held is None and claim.missing_since is not None:
        held = Doubt(since=claim.missing_since, first=now)  # of the release before, which kept the first 404 alone
    doubt = view.renewed(held, OF_NOT_FOUND, now)
    if known is not None and _is_gone(claim, doubt, cadence, now, view):
        observed_at = _observed(claim, now)
        return Verdict(
            claim=claim,
            outcome=Outcome.GONE,
            next_poll_at=next_due(claim.user.user_id, cadence.gone_interval, now),
            failed_at=now,
            presence=Presence.GONE,
            missing_since=observed_at,
            change=_change(known, {}, depart(known.state, observed_at)),
        )
    doubts = replace(claim.doubts, not_found=doubt)
    return _doubtful(claim, Outcome.GONE, NOT_FOUND_REASON, doubts, doubt, cadence, now)


def invalid(claim: Claim, reason: str, cadence: Cadence, now: datetime, view: TargetView = CALM) -> Verdict:
    """Judge a 422: when it is confirmed the registration is bad, and the user is paused with the reason."""
    if claim.presence is not Presence.PRESENT:
        return _absent_still(claim, Outcome.INVALID, cadence, now)
    doubt = view.renewed(claim.doubts.invalid, OF_INVALID, now)
    if not view.confirms(claim.key, doubt, OF_INVALID, now):
        doubts = replace(claim.doubts, invalid=doubt)
        return _doubtful(claim, Outcome.INVALID, reason, doubts, doubt, cadence, now)
    return Verdict(
        claim=claim,
        outcome=Outcome.INVALID,
        next_poll_at=next_due(claim.user.user_id, cadence.gone_interval, now),
        failed_at=now,
        presence=Presence.INVALID,
        reason=reason,
        change=Change(transitions=(), connections=None, counts=Counter()),
    )


def unobserved(
    claim: Claim,
    outcome: Outcome,
    cadence: Cadence,
    now: datetime,
    view: TargetView = CALM,
    *,
    retry_after: timedelta | None = None,
    reason: str | None = None,
) -> Verdict:
    """Judge any answer that showed nothing: no state moves, the user is due again after a back-off.

    While a target does not work its users stay due, so that each probe finds one; the budget keeps the pace.
    """
    failures = claim.failures + 1
    interval = cadence.of(claim.presence)
    longest = cadence.longest_wait(claim.presence, failed=True)
    if view.health.probe_every is not None:
        interval = min(interval, PROBE_REJECTED_EVERY)
    wait = max(backoff(claim.user.user_id, failures, interval), min(retry_after or timedelta(0), longest))
    return Verdict(
        claim=claim,
        outcome=outcome,
        next_poll_at=now + wait,
        failed_at=now,
        digest=claim.digest,
        failures=failures,
        presence=claim.presence,
        missing_since=claim.missing_since,
        doubts=claim.doubts,
        reason=reason if claim.presence is Presence.PRESENT else claim.reason,
    )


def _doubted_rows(
    claim: Claim, known: Known, snapshot: Snapshot, cadence: Cadence, now: datetime, view: TargetView
) -> dict[str, Doubt]:
    """Return the rows that are absent and not yet believed to be; an incomplete answer says nothing about absence."""
    if not snapshot.complete:
        absent = known.state.connections.keys() - snapshot.connections.keys()
        return {slug: doubt for slug, doubt in claim.doubts.connections.items() if slug in absent}
    doubted: dict[str, Doubt] = {}
    missing = sorted(missing_rows(known, snapshot))
    # An answer that lacks rows of a provider at fault is no good evidence for the absence of other rows.
    faults = (Fault.CONNECTIONS_MISSING.value, *(verdict_key(Fault.PROVIDER_MISSING, name) for name in missing))
    for provider in missing:
        doubt = view.renewed(claim.doubts.connections.get(provider), faults, now)
        is_old = now - doubt.since >= cadence.believe_absence_after
        if not is_old and not view.confirms(claim.key, doubt, faults, now):
            doubted[provider] = doubt
    return doubted


def _is_gone(claim: Claim, doubt: Doubt, cadence: Cadence, now: datetime, view: TargetView) -> bool:
    if view.confirms(claim.key, doubt, OF_NOT_FOUND, now):
        return True
    if claim.unlisted_at is not None and doubt.since < claim.unlisted_at <= now and now - doubt.since >= CONFIRM_AFTER:
        return True
    is_old = now - doubt.since >= cadence.believe_absence_after
    return is_old and view.recent.answered_others(claim.key, doubt.since)


def _doubtful(
    claim: Claim, outcome: Outcome, reason: str, doubts: Doubts, doubt: Doubt, cadence: Cadence, now: datetime
) -> Verdict:
    """Return the verdict on an absence that waits for its confirmation."""
    return Verdict(
        claim=claim,
        outcome=outcome,
        next_poll_at=_due_to_confirm(claim, [doubt], cadence, now),
        failed_at=now,
        digest=claim.digest,
        failures=claim.failures + 1,
        missing_since=doubts.not_found.since if doubts.not_found else None,
        doubts=doubts,
        reason=reason,
    )


def _due_to_confirm(claim: Claim, doubts: Iterable[Doubt], cadence: Cadence, now: datetime) -> datetime:
    """Return when the user is due: at its usual pace, and once more when a doubt may first be confirmed."""
    usual = next_due(claim.user.user_id, cadence.interval, now)
    if cadence.interval <= CONFIRM_AFTER:
        return usual
    may_confirm_at = (doubt.first + CONFIRM_AFTER for doubt in doubts)
    return min([usual, *(moment for moment in may_confirm_at if moment > now)])


def _absent_still(claim: Claim, outcome: Outcome, cadence: Cadence, now: datetime) -> Verdict:
    """Return the verdict on a user that is gone or invalid and shows no sign of being back."""
    return Verdict(
        claim=claim,
        outcome=outcome,
        next_poll_at=next_due(claim.user.user_id, cadence.gone_interval, now),
        failed_at=now,
        presence=claim.presence,
        missing_since=claim.missing_since,
        reason=claim.reason,
    )


def _observed(claim: Claim, now: datetime) -> datetime:
    """Keep a user's observations in order where the clock stepped back, so that no two pairs look the same."""
    left = claim.missing_since if claim.presence is Presence.GONE else None
    return max([now, *(moment + TICK for moment in (claim.observed_at, left) if moment is not None)])


def _change(known: Known, after: Mapping[str, Connection], transitions: tuple[Transition, ...]) -> Change:
    state = known.state
    target = state.user.target
    counts = tally.difference(
        tally.of_connections(target, state.connections.values()), tally.of_connections(target, after.values())
    )
    counts.update(tally.of_transitions(transitions))
    return Change(
        transitions=transitions,
        connections=after,
        counts=Counter({key: amount for key, amount in counts.items() if amount}),
    )

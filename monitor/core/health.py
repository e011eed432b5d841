"""Whether a target as a whole answers: rejected, unreachable, or trusted when it says that a user is gone.

Kept apart from users: a key that was revoked, or an API that forgets everybody, says nothing of any single user
(contract, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.cadence import EPOCH
from monitor.core.model import OBSERVED, Outcome

PROBE_EVERY: Final = timedelta(seconds=30)
WINDOW: Final = 100
"""Polls in one generation; "recent" is the current generation and the one before."""
MISSING_AT_LEAST: Final = 20
MISSING_SHARE: Final = 0.2
UNREACHABLE_AFTER: Final = 5
"""Polls in a row that got no answer at all."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How many polls ended, and how many of them in a 404 of a user not known to be gone."""

    polls: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What recent polls say of a target. ``rejected`` is the reason for a person, None while it is not.

    ``proving`` is how many more polls must end, after a wave of 404s, before the target's word on absence counts
    again: one good answer ends the rejection, but it does not make the other 404s true.
    """

    rejected: str | None = None
    rejected_at: datetime = EPOCH
    probed_at: datetime = EPOCH
    unanswered: int = 0
    proving: int = 0
    current: Generation = Generation()
    previous: Generation = Generation()

    @property
    def up(self) -> bool:
        """Whether the target neither rejects us nor is out of reach."""
        return self.rejected is None and self.unanswered < UNREACHABLE_AFTER

    @property
    def too_many_missing(self) -> bool:
        """Whether so many recent polls ended in 404 that the target, not the users, must be at fault."""
        missing = self.current.missing + self.previous.missing
        polls = self.current.polls + self.previous.polls
        return missing >= MISSING_AT_LEAST and missing > MISSING_SHARE * polls

    @property
    def trusts_absence(self) -> bool:
        """Whether a second 404 may declare a user gone."""
        return self.rejected is None and self.proving == 0 and not self.too_many_missing

    def may_poll(self, wanted: int, now: datetime) -> tuple[int, Health]:
        """Return how many polls may start: all, or while rejected one probe every 30 s."""
        if self.rejected is None:
            return wanted, self
        if wanted < 1 or timedelta(0) <= now - self.probed_at < PROBE_EVERY:
            return 0, self
        # Where the clock stepped back, so does the rejection, or no answer would come after it for that long.
        return 1, replace(self, probed_at=now, rejected_at=min(self.rejected_at, now))

    def after(
        self, outcome: Outcome, *, started_at: datetime, now: datetime, answered: bool, known_gone: bool
    ) -> Health:
        """Return the health after one poll.

        Args:
            outcome: how it ended.
            started_at: when it was asked; an answer asked for before the rejection does not end it.
            now: when it ended.
            answered: whether any HTTP answer came.
            known_gone: whether the user was already declared gone; its 404 is no news.
        """
        health = replace(self, unanswered=0 if answered else self.unanswered + 1)
        if self.rejected is not None:
            ended = outcome in OBSERVED and started_at >= self.rejected_at
            return replace(health, rejected=None) if ended else health
        if outcome is Outcome.REJECTED:
            return _reject(health, "Junction refuses the API key (401 or 403)", now)
        health = health if known_gone else _counted(health, missing=outcome is Outcome.GONE)
        if health.too_many_missing:
            return replace(_reject(health, "more than a fifth of recent polls ended in 404", now), proving=WINDOW)
        return health


def _counted(health: Health, *, missing: bool) -> Health:
    now = Generation(health.current.polls + 1, health.current.missing + missing)
    proving = max(0, health.proving - 1)
    if now.polls < WINDOW:
        return replace(health, proving=proving, current=now)
    return replace(health, proving=proving, current=Generation(), previous=now)


def _reject(health: Health, reason: str, now: datetime) -> Health:
    return replace(health, rejected=reason, rejected_at=now, probed_at=now, current=Generation(), previous=Generation())

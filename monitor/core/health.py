"""Whether a target as a whole answers: rejected, unreachable, or trusted when it says that a user is gone.

Kept apart from users: a key that was revoked, or an API that forgets everybody, says nothing of any single user
(contract, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.core.cadence import EPOCH
from monitor.core.model import OBSERVED, Outcome

if TYPE_CHECKING:
    from datetime import datetime

WINDOW: Final = 100
"""Polls in one generation; "recent" is the current generation and the one before."""
KEY_REFUSED: Final = "Junction refuses the API key (401 or 403)"
TOO_MANY_MISSING: Final = "more than a fifth of recent polls ended in 404"
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

    def told(self, rejected: str | None, rejected_at: datetime) -> Health:
        """Return the health after learning what all replicas know of a rejection."""
        if rejected is None:
            return replace(self, rejected=None)
        if self.rejected is not None:
            return replace(self, rejected_at=rejected_at)
        return _reject(self, rejected, rejected_at)

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
        unanswered = 0 if answered else self.unanswered + 1
        health = self if unanswered == self.unanswered else replace(self, unanswered=unanswered)
        if self.rejected is not None:
            ended = outcome in OBSERVED and started_at >= self.rejected_at
            return replace(health, rejected=None) if ended else health
        if outcome is Outcome.REJECTED:
            return _reject(health, KEY_REFUSED, now)
        health = health if known_gone else _counted(health, missing=outcome is Outcome.GONE)
        if health.too_many_missing:
            return _reject(health, TOO_MANY_MISSING, now)
        return health


def _counted(health: Health, *, missing: bool) -> Health:
    now = Generation(health.current.polls + 1, health.current.missing + missing)
    proving = max(0, health.proving - 1)
    if now.polls < WINDOW:
        return replace(health, proving=proving, current=now)
    return replace(health, proving=proving, current=Generation(), previous=now)


def _reject(health: Health, reason: str, at: datetime) -> Health:
    return replace(
        health,
        rejected=reason,
        rejected_at=at,
        proving=WINDOW if reason == TOO_MANY_MISSING else health.proving,
        current=Generation(),
        previous=Generation(),
    )

"""What must have been found out about users and their target: the rules of the contract, told as plainly as can be.

Answers of one round are committed in any order and in any number of batches. So the model knows two bounds: what may be
concluded in some order, and what must be in every order.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core.model import Outcome, Presence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from monitor.ports import Answer

CONFIRM_AFTER: Final = timedelta(seconds=60)
BELIEVE_AFTER: Final = timedelta(days=1)
MANY: Final = 3
"""Users that must share an absence before it is the target's fault; more than a fifth of so few they always are."""
NOT_FOUND: Final = "404"
INVALID: Final = "422"
NOTHING: Final = frozenset[str]()


@dataclass
class Doubt:
    """An absence that was answered and not concluded yet.

    ``since`` is when it was answered first. A second answer may confirm it from ``may_first`` on, and must from
    ``must_first`` on. It is not ``is_sure`` where a process died that may have written it, or its end.
    """

    since: datetime
    may_first: datetime
    must_first: datetime
    is_sure: bool = True


@dataclass
class Belief:
    """What a user has by all that was answered, how often each kind of transition was due, and what is in doubt."""

    rows: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    presence: Presence = Presence.PRESENT
    doubts: dict[str, Doubt] = field(default_factory=dict)
    polled_at: datetime | None = None
    certainly_polled_at: datetime | None = None
    absences: frozenset[str] = NOTHING
    was_seen: bool = False

    def absences_in(self, answer: Answer) -> frozenset[str]:
        """Return what an answer says is not there: the user, its registration, or providers of rows it had."""
        if answer.outcome in {Outcome.GONE, Outcome.INVALID}:
            name = NOT_FOUND if answer.outcome is Outcome.GONE else INVALID
            return frozenset({name}) if self.presence is Presence.PRESENT else NOTHING
        rows = read(answer)
        return NOTHING if rows is None else frozenset(self.rows.keys() - rows.keys())

    def hears(self, answer: Answer, concluded: frozenset[str], round_: Round) -> None:
        """Take in one answer, and what was concluded of it."""
        absences, rows = self.absences_in(answer), read(answer)
        if rows is not None:
            self.doubts = {name: doubt for name, doubt in self.doubts.items() if name in absences}
        for name in absences - concluded:
            self.doubts[name] = round_.renewed(self.doubts.get(name), name)
        for name in concluded:
            self.doubts.pop(name)
        self.absences = absences - concluded
        self.was_seen = rows is not None
        self.polled_at = self.certainly_polled_at = round_.now
        if NOT_FOUND in concluded:
            self.kinds["user_gone"] += 1
            self.rows, self.presence, self.doubts = {}, Presence.GONE, {}
        elif INVALID in concluded:
            self.presence, self.doubts = Presence.INVALID, {}
        elif rows is not None:
            self._sees({name: self.rows[name] for name in absences - concluded} | rows)

    def is_unsure_beside(self, before: Belief) -> None:
        """Keep both what is in doubt now and what was before: nobody knows which of them was written."""
        for name, was in before.doubts.items():
            now = self.doubts.setdefault(name, was)
            now.since, now.may_first = min(now.since, was.since), min(now.may_first, was.may_first)
        for doubt in self.doubts.values():
            doubt.is_sure = False
        self.certainly_polled_at = before.certainly_polled_at

    def _sees(self, rows: dict[str, str]) -> None:
        if self.presence is Presence.GONE:
            self.kinds["user_returned"] += 1
        for provider in self.rows.keys() | rows.keys():
            kind = _kind(self.rows.get(provider), rows.get(provider))
            self.kinds.update([kind] if kind else [])
        self.rows, self.presence = rows, Presence.PRESENT


@dataclass
class Faults:
    """When the target as a whole certainly, and when it possibly, said the same of many users.

    ``latest`` is the latest time that there was: while the clock is behind it, times of answers are not compared.
    """

    certain: dict[str, datetime] = field(default_factory=dict)
    possible: dict[str, datetime] = field(default_factory=dict)
    latest: datetime | None = None

    def suspect_everything(self, now: datetime) -> None:
        """Note that answers were assessed of which nobody knows what became; a fault may have ended with them."""
        self.certain = {name: at for name, at in self.certain.items() if at < now}
        self.possible = dict.fromkeys((NOT_FOUND, INVALID, "rows"), now)

    def step_back(self, now: datetime) -> None:
        """Note that the clock was set back to ``now``."""
        self.certain = {}
        self.possible = {name: min(at, now) for name, at in self.possible.items()}


@dataclass
class Round:
    """One round of polls at ``now``: what was believed before it of the users that count, and what was answered."""

    now: datetime
    before: Mapping[UUID, Belief]
    answers: Mapping[UUID, Answer]
    faults: Faults
    recently: timedelta

    def __post_init__(self) -> None:
        """Note which absences many users may have shared in the course of it."""
        self._says = {user: self.before[user].absences_in(answer) for user, answer in self.answers.items()}
        for group in (NOT_FOUND, INVALID, "rows"):
            if sum(self._may_say(user, group) for user in self.before) >= MANY:
                self.faults.possible[group] = self.now

    def end(self, after: Mapping[UUID, Belief]) -> None:
        """Note which absences many users certainly share at its end."""
        counted = [belief for user, belief in after.items() if user in self.before]
        for name in frozenset[str]().union(*(belief.absences for belief in counted)):
            if sum(name in belief.absences and self._is_recent(belief) for belief in counted) >= MANY:
                self.faults.certain[name] = self.now

    def may_conclude(self, user: UUID, name: str) -> bool:
        """Return whether the rules allow to believe an absence that the user is answered."""
        doubt = self.before[user].doubts.get(name)
        if doubt is None or name not in self._says[user]:
            return False
        is_old = self.now - doubt.since >= BELIEVE_AFTER
        if is_old and (name not in {NOT_FOUND, INVALID} or (name == NOT_FOUND and self._others_are_found(user))):
            return True
        fault_at = self.faults.certain.get(name)
        is_after = fault_at is None or fault_at < doubt.may_first or not doubt.is_sure
        is_confirmed = self.now - doubt.may_first >= CONFIRM_AFTER and is_after
        return is_confirmed and self._may_have_polled_others(user, doubt) and not self._all_lack(name)

    def must_conclude(self, user: UUID, name: str) -> bool:
        """Return whether nothing speaks against an absence that the user is answered."""
        doubt = self.before[user].doubts.get(name)
        if doubt is None or not doubt.is_sure or name not in self._says[user]:
            return False
        if name not in {NOT_FOUND, INVALID} and self.now - doubt.since >= BELIEVE_AFTER:
            return True
        fault_at = self.faults.possible.get(_group(name))
        is_after = fault_at is None or fault_at < doubt.must_first
        is_confirmed = self.now - doubt.must_first >= CONFIRM_AFTER and is_after
        return is_confirmed and self._has_polled_others(user, doubt)

    def renewed(self, doubt: Doubt | None, name: str) -> Doubt:
        """Return a doubt after one more answer."""
        now = self.now
        if doubt is None:
            return Doubt(since=now, may_first=now, must_first=now)
        possible, certain = self.faults.possible.get(_group(name)), self.faults.certain.get(name)
        is_void = certain is not None and doubt.may_first <= certain
        may_void = possible is not None and doubt.must_first <= possible
        return Doubt(
            since=min(doubt.since, now),
            may_first=now if is_void or doubt.may_first > now else doubt.may_first,
            must_first=now if may_void or doubt.must_first > now else doubt.must_first,
            is_sure=doubt.is_sure,
        )

    def _may_say(self, user: UUID, group: str) -> bool:
        said = self.before[user].absences | self._says.get(user, NOTHING)
        return any(_group(name) == group for name in said)

    def _all_lack(self, name: str) -> bool:
        """Return whether many users lacked it before this round, and whoever was asked lacks it now."""
        lacking = [
            user
            for user, belief in self.before.items()
            if name in belief.absences and self._is_recent(belief) and name in self._says.get(user, {name})
        ]
        return len(lacking) >= MANY and self.now == self.faults.latest

    def _others(self, user: UUID) -> Iterable[tuple[UUID, Belief]]:
        return ((other, belief) for other, belief in self.before.items() if other != user)

    def _others_are_found(self, user: UUID) -> bool:
        return any(
            read(self.answers[other]) is not None if other in self.answers else belief.was_seen
            for other, belief in self._others(user)
        ) or any(belief.was_seen for _, belief in self._others(user))

    def _may_have_polled_others(self, user: UUID, doubt: Doubt) -> bool:
        if self.now != self.faults.latest:
            return True
        return all(
            other in self.answers or (belief.polled_at is not None and belief.polled_at > doubt.may_first)
            for other, belief in self._others(user)
            if self._still_counts(other)
        )

    def _has_polled_others(self, user: UUID, doubt: Doubt) -> bool:
        since = max(doubt.must_first, self.now - self.recently)
        return all(
            belief.certainly_polled_at is not None and belief.certainly_polled_at > since
            for _, belief in self._others(user)
        )

    def _still_counts(self, user: UUID) -> bool:
        """Return whether a user certainly counts to the end: nothing may be concluded of it in this round."""
        return not self._says.get(user, NOTHING) & {NOT_FOUND, INVALID}

    def _is_recent(self, belief: Belief) -> bool:
        at = belief.certainly_polled_at
        return at is not None and at >= self.now - self.recently


def _group(name: str) -> str:
    return name if name in {NOT_FOUND, INVALID} else "rows"


def _kind(before: str | None, after: str | None) -> str | None:
    if before == after:
        return None
    if after is None:
        return "disappeared"
    if after == "error":
        return "errored"
    if before is None:
        return "appeared"
    return "recovered" if (before, after) == ("error", "connected") else "status_changed"


def read(answer: Answer) -> dict[str, str] | None:
    """Return the rows of an answer, None where it has none that can be read."""
    if answer.outcome is not None:
        return None
    try:
        found: Mapping[str, str] = json.loads(answer.body)
    except ValueError:
        return None
    return dict(found)

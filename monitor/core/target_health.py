"""Whether a target as a whole works: rejected, not found, unreachable, implausible or throttled.

One user's answers say nothing about a target. A verdict takes several users, or a question about the team itself, and
all replicas share it: it is stored with the target's budget and changed under that row's lock (contract, section 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence  # noqa: TC003 - read at runtime, where the health is stored
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.cadence import EPOCH
from monitor.core.model import OBSERVED, Outcome

RECENT_USERS: Final = 200
"""The latest polled users that a verdict looks at, where more were polled in an interval."""
MANY_SHARE: Final = 0.2
MANY_AT_LEAST: Final = 3
FAILING_POLLS: Final = 5
FAILING_FOR: Final = timedelta(seconds=10)
REFUSED_FOR: Final = timedelta(seconds=60)
"""So long must all recently polled users be refused before the target is rejected, whatever the question says."""
ASK_EVERY: Final = timedelta(seconds=10)
ASK_REJECTED_EVERY: Final = timedelta(seconds=30)
PROBE_REJECTED_EVERY: Final = timedelta(seconds=30)
PROBE_UNREACHABLE_EVERY: Final = timedelta(seconds=1)
THROTTLED_WITHIN: Final = timedelta(seconds=10)
THROTTLED_SHARE: Final = 0.05
REMEMBERED_ENDS: Final = 50
"""Ended faults that are kept, the newest ones: each invented provider may add one."""
USERS_FOR_A_VERDICT: Final = 3
"""Different users that a verdict takes; all of them where a target has fewer."""
OTHERS_TO_CONFIRM: Final = 10
"""Other users that must be polled between two answers with the same absence; all of them where there are fewer."""
UNREACHED_CODE: Final = "503"
"""A 503 asks for less, as 429 does, but it is no usable answer either."""

UNUSABLE: Final = frozenset({Outcome.UNAVAILABLE, Outcome.TIMEOUT, Outcome.MALFORMED})
USABLE: Final = OBSERVED | {Outcome.GONE, Outcome.INVALID}
"""Outcomes that say something about the user that was asked for: the key is accepted, and the API works."""


class Fault(StrEnum):
    """What may be wrong with a target. ``reason`` is the contract's word for it."""

    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    CONNECTIONS_MISSING = "connections_missing"
    PROVIDER_MISSING = "provider_missing"
    USERS_INVALID = "users_invalid"
    THROTTLED = "throttled"

    @property
    def reason(self) -> str:
        """The word that logs, metrics and commands use."""
        return "implausible" if self in _IMPLAUSIBLE else self.value

    @property
    def description(self) -> str:
        """What it means, for a person."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS: Final[Mapping[Fault, str]] = {
    Fault.REJECTED: "Junction refuses the API key (401 or 403)",
    Fault.NOT_FOUND: "Junction does not know many of the users (404): nobody is declared gone meanwhile",
    Fault.UNREACHABLE: "Junction brings no usable answer",
    Fault.CONNECTIONS_MISSING: "many users lack connections that they had: no connection is declared removed meanwhile",
    Fault.PROVIDER_MISSING: "many users lack their connection to one provider: none is declared removed meanwhile",
    Fault.USERS_INVALID: "Junction calls many user ids invalid (422): nobody is paused meanwhile",
    Fault.THROTTLED: "Junction asks for fewer requests (429 or 503)",
}
_IMPLAUSIBLE: Final = frozenset({Fault.CONNECTIONS_MISSING, Fault.PROVIDER_MISSING, Fault.USERS_INVALID})
OF_ABSENCE: Final = _IMPLAUSIBLE | {Fault.NOT_FOUND}
"""The faults that are many users' absences: they last exactly as long as these are many."""
DOWN: Final = frozenset(Fault) - {Fault.PROVIDER_MISSING, Fault.THROTTLED}
"""The faults with which a target is not up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVerdict:
    """One thing that is wrong with a target, since when, and what was seen of it."""

    fault: Fault
    since: datetime
    provider: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """One answer as far as it matters to its target.

    Attributes:
        key: the user's key in the store.
        outcome: how the poll ended.
        code: the HTTP status, or what came instead of one.
        asked_at: when the request started.
        at: when the answer came.
        counts: whether the user is one of those that verdicts count: active, and neither gone nor invalid.
        missing: providers that the user had and that the answer lacks.
        is_doubted: whether an absence of the user or of a connection waits for its confirmation.
    """

    key: int
    outcome: Outcome
    code: str
    asked_at: datetime
    at: datetime
    counts: bool = True
    missing: frozenset[str] = frozenset()
    is_doubted: bool = False
    retry_after: timedelta | None = None
    detail: str | None = None

    @property
    def is_remarkable(self) -> bool:
        """Whether it may move a verdict, or needs one to be judged."""
        if not self.counts:
            return self.outcome is Outcome.REJECTED
        return self.outcome not in OBSERVED or bool(self.missing) or self.is_doubted

    @property
    def is_usable(self) -> bool:
        """Whether it says something about its user."""
        return self.outcome in USABLE

    @property
    def is_unusable(self) -> bool:
        """Whether the target did not do its work: no answer, a server's error, or an answer that cannot be read."""
        return self.outcome in UNUSABLE or self.code == UNREACHED_CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentPoll:
    """The latest answer for one user. ``outcome`` is None where it was good."""

    key: int
    at: datetime
    outcome: Outcome | None = None
    missing: frozenset[str] = frozenset()

    @property
    def is_usable(self) -> bool:
        """Whether the answer said something about its user."""
        return self.outcome is None or self.outcome in USABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentPolls:
    """The recently polled users of a target, each by its latest answer, newest first; ``users`` are all that count."""

    polls: Sequence[RecentPoll]
    users: int

    def with_answers(self, answers: Sequence[PollAnswer]) -> RecentPolls:
        """Return the recent polls after ``answers``, of which the store knows nothing yet."""
        latest = {poll.key: poll for poll in self.polls}
        for answer in sorted(answers, key=lambda answer: answer.at):
            if answer.counts:
                latest[answer.key] = RecentPoll(
                    key=answer.key,
                    at=answer.at,
                    outcome=None if answer.outcome in OBSERVED else answer.outcome,
                    missing=answer.missing,
                )
        newest = sorted(latest.values(), key=lambda poll: (poll.at, poll.key), reverse=True)
        return RecentPolls(polls=newest[:RECENT_USERS], users=max(self.users, len(newest)))

    @property
    def enough(self) -> int:
        """How many different users a verdict takes."""
        return min(USERS_FOR_A_VERDICT, max(1, self.users))

    def with_outcome(self, outcome: Outcome) -> int:
        """Return how many users ended their latest poll so."""
        return sum(poll.outcome is outcome for poll in self.polls)

    def is_many(self, users: int) -> bool:
        """Return whether ``users`` of the recently polled ones are many."""
        return users >= MANY_AT_LEAST and users > MANY_SHARE * len(self.polls)

    def are_all(self, outcome: Outcome) -> bool:
        """Return whether the latest polls of all, and of enough users, ended so."""
        return len(self.polls) >= self.enough and self.with_outcome(outcome) == len(self.polls)

    @property
    def shared_absences(self) -> frozenset[str]:
        """The keys of the verdicts that these polls are reason for: what many of the users lack.

        Where one provider's rows are missing it is that provider's fault, also if one or two users lack other rows:
        a verdict on the target as a whole takes three.
        """
        shared = set[str]()
        if self.is_many(self.with_outcome(Outcome.GONE)):
            shared.add(Fault.NOT_FOUND)
        if self.is_many(self.with_outcome(Outcome.INVALID)):
            shared.add(Fault.USERS_INVALID)
        lacking = [poll.missing for poll in self.polls if poll.missing]
        if self.is_many(len(lacking)):
            users = Counter(provider for missing in lacking for provider in missing)
            provider = max(users, key=lambda name: (users[name], name))
            others = sum(missing != {provider} for missing in lacking)
            is_alone = others < USERS_FOR_A_VERDICT and self.is_many(users[provider])
            shared.add(verdict_key(Fault.PROVIDER_MISSING, provider) if is_alone else Fault.CONNECTIONS_MISSING)
        return frozenset(shared)

    def after(self, since: datetime) -> RecentPolls:
        """Return the polls after ``since``."""
        return replace(self, polls=[poll for poll in self.polls if poll.at > since])

    def polled_others(self, key: int, since: datetime) -> bool:
        """Return whether ten users other than ``key``, or all others, were polled after ``since``."""
        others = sum(poll.key != key and poll.at > since for poll in self.polls)
        return others >= min(OTHERS_TO_CONFIRM, self.users - 1)

    def answered_others(self, key: int, since: datetime) -> bool:
        """Return whether a user other than ``key`` got a good answer after ``since``."""
        return any(poll.key != key and poll.outcome is None and poll.at > since for poll in self.polls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """Polls in a row that brought no usable answer: since when, how many, and of which users, three at most."""

    since: datetime
    polls: int = 0
    users: tuple[int, ...] = ()

    def with_answer(self, answer: PollAnswer) -> Streak:
        """Return the streak with one more poll."""
        users = tuple(sorted({*self.users, answer.key}))[:USERS_FOR_A_VERDICT]
        return replace(self, polls=self.polls + 1, users=users)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedQuestion:
    """The question about the target itself, asked at ``asked_at`` and refused (401, 403)."""

    asked_at: datetime
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What is known of a target as a whole, by all replicas together.

    Attributes:
        verdicts: what is wrong now, by fault, and for a missing provider by ``provider_missing:SLUG``.
        ended: when each fault that is over ended last.
        streak: polls in a row without a usable answer.
        refused_since: since when all recently polled users are refused.
        question_is_due: whether the target is to be asked about itself.
        asked_at: when it was asked last.
        refused_question: the last question, where it was refused and no user was answered since.
    """

    verdicts: Mapping[str, TargetVerdict] = field(default_factory=dict)
    ended: Mapping[str, datetime] = field(default_factory=dict)
    streak: Streak | None = None
    refused_since: datetime | None = None
    question_is_due: bool = False
    asked_at: datetime = EPOCH
    refused_question: RefusedQuestion | None = None

    @property
    def is_up(self) -> bool:
        """Whether the target works: it is neither rejected, not found, unreachable nor implausible."""
        return not any(verdict.fault in DOWN for verdict in self.verdicts.values())

    @property
    def is_calm(self) -> bool:
        """Whether nothing is wrong and nothing is suspected, so that good answers change nothing."""
        suspicions = (self.streak, self.refused_since, self.refused_question)
        return not self.verdicts and all(suspicion is None for suspicion in suspicions)

    @property
    def rejected(self) -> TargetVerdict | None:
        """The verdict that the target rejects us."""
        return self.verdicts.get(Fault.REJECTED)

    @property
    def unreachable(self) -> TargetVerdict | None:
        """The verdict that the target does not answer."""
        return self.verdicts.get(Fault.UNREACHABLE)

    @property
    def probe_every(self) -> timedelta | None:
        """How often one user is polled while the target does not work; None where polls go on as usual."""
        if self.rejected:
            return PROBE_REJECTED_EVERY
        return PROBE_UNREACHABLE_EVERY if self.unreachable else None

    def asks(self, now: datetime) -> bool:
        """Return whether the question about the target itself is to be sent now."""
        every = ASK_REJECTED_EVERY if self.rejected else ASK_EVERY
        return (self.question_is_due or self.rejected is not None) and now - self.asked_at >= every

    def not_ahead_of(self, now: datetime) -> TargetHealth:
        """Return the health without times in the future, which a clock that was ahead has left."""
        times = [verdict.since for verdict in self.verdicts.values()] + list(self.ended.values())
        times += [time for time in (self.refused_since, self.streak and self.streak.since) if time]
        if max(times, default=EPOCH) <= now and self.asked_at <= now:
            return self
        return TargetHealth(
            verdicts={key: replace(each, since=min(each.since, now)) for key, each in self.verdicts.items()},
            ended={key: min(time, now) for key, time in self.ended.items()},
            streak=self.streak and replace(self.streak, since=min(self.streak.since, now)),
            refused_since=self.refused_since and min(self.refused_since, now),
            question_is_due=self.question_is_due,
            asked_at=EPOCH if self.asked_at > now else self.asked_at,
            refused_question=None if self.asked_at > now else self.refused_question,
        )

    def has_any(self, keys: Sequence[str]) -> bool:
        """Return whether one of these verdicts holds."""
        return any(key in self.verdicts for key in keys)

    def last_end_of(self, keys: Sequence[str]) -> datetime:
        """Return when the last of these verdicts was over."""
        return max((self.ended.get(key, EPOCH) for key in keys), default=EPOCH)


def verdict_key(fault: Fault, provider: str | None = None) -> str:
    """Return under which key a verdict is kept."""
    return fault.value if provider is None else f"{fault.value}:{provider}"


def assess(health: TargetHealth, answers: Sequence[PollAnswer], recent: RecentPolls, now: datetime) -> TargetHealth:
    """Return the health of a target after ``answers``.

    Args:
        health: what all replicas knew before.
        answers: of this target's users, in any order.
        recent: the recently polled users, these answers included.
        now: the time.
    """
    ordered = sorted(answers, key=lambda answer: (answer.at, answer.key))
    assessed = _with_refusals(health, ordered, recent, now)
    assessed = _with_streak(assessed, ordered, recent, now)
    return _with_absences(assessed, recent.shared_absences, now)


def after_question(
    health: TargetHealth, answer: PollAnswer, *, answered_meanwhile: bool, users: int, now: datetime
) -> TargetHealth:
    """Return the health after the target was asked about itself.

    Args:
        health: what is known.
        answer: what came back; its user is nobody.
        answered_meanwhile: whether a user got a usable answer since the question was sent.
        users: how many users of the target count.
        now: the time.
    """
    # A refusal of the question alone is no reason to repeat it: some keys may not list users.
    undecided = answer.is_unusable or answer.outcome is Outcome.THROTTLED
    again = replace(health, question_is_due=undecided)
    if answer.outcome is Outcome.REJECTED and not answered_meanwhile and again.rejected is None:
        # Not a verdict yet: a key that may not list users is refused this question, too. The next polls decide.
        refused = RefusedQuestion(asked_at=answer.asked_at, code=answer.code, detail=answer.detail)
        return replace(again, refused_question=refused)
    if answer.is_unusable and _is_long(health.streak, users, now):
        return _begin(again, Fault.UNREACHABLE, now, code=answer.code, detail=answer.detail)
    return again


def is_throttling(answers: Sequence[PollAnswer], recent: RecentPolls, now: datetime) -> bool:
    """Return whether ``answers`` ask the whole target for less, and not only single users."""
    if not any(answer.counts and answer.outcome is Outcome.THROTTLED for answer in answers):
        return False
    lately = [poll for poll in recent.polls if now - poll.at <= THROTTLED_WITHIN]
    throttled = sum(poll.outcome is Outcome.THROTTLED for poll in lately)
    return throttled >= recent.enough and throttled >= THROTTLED_SHARE * len(lately)


def set_throttled(health: TargetHealth, now: datetime, *, throttled: bool, code: str | None = None) -> TargetHealth:
    """Return the health after the throttle said whether the target is throttled; never beside ``unreachable``."""
    return _set(health, Fault.THROTTLED, throttled and health.unreachable is None, now, code=code)


def _with_refusals(
    health: TargetHealth, answers: Sequence[PollAnswer], recent: RecentPolls, now: datetime
) -> TargetHealth:
    verdict = health.rejected
    if verdict is not None:
        if any(answer.is_usable and answer.asked_at >= verdict.since for answer in answers):
            return _end(replace(health, refused_since=None, question_is_due=False), Fault.REJECTED, now)
        return health
    health = _after_refused_question(health, recent, now)
    if health.rejected is not None:
        return health
    refused = [answer for answer in answers if answer.outcome is Outcome.REJECTED]
    if refused:
        health = replace(health, question_is_due=True)
    if not recent.are_all(Outcome.REJECTED):
        return replace(health, refused_since=None)
    since = min(health.refused_since or now, now)
    health = replace(health, refused_since=since)
    if now - since < REFUSED_FOR or not refused:
        return health
    return _begin(health, Fault.REJECTED, now, code=refused[-1].code, detail=refused[-1].detail)


def _after_refused_question(health: TargetHealth, recent: RecentPolls, now: datetime) -> TargetHealth:
    """Return the health after what users were answered since the target refused the question about itself.

    Several users that are refused, or one for a while, and nobody who is answered, reject the target.
    """
    question = health.refused_question
    if question is None:
        return health
    since = [poll for poll in recent.polls if poll.at > question.asked_at]
    if any(poll.is_usable for poll in since):
        return replace(health, refused_question=None)
    refused = sum(poll.outcome is Outcome.REJECTED for poll in since)
    if refused >= recent.enough or (refused and now - question.asked_at >= REFUSED_FOR):
        rejected = _begin(health, Fault.REJECTED, now, code=question.code, detail=question.detail)
        return replace(rejected, refused_question=None)
    return health


def _with_streak(
    health: TargetHealth, answers: Sequence[PollAnswer], recent: RecentPolls, now: datetime
) -> TargetHealth:
    streak, last = health.streak, None
    for answer in answers:
        if answer.is_unusable:
            streak, last = (streak or Streak(since=answer.at)).with_answer(answer), answer
        else:
            streak = None
    verdict = health.unreachable
    if verdict is not None:
        reached = any(not answer.is_unusable and answer.asked_at >= verdict.since for answer in answers)
        return _end(replace(health, streak=None), Fault.UNREACHABLE, now) if reached else health
    health = replace(health, streak=streak)
    if last is None or not _is_long(streak, recent.users, now):
        return health
    if any(poll.is_usable for poll in recent.polls):
        return replace(health, question_is_due=True)
    return _begin(health, Fault.UNREACHABLE, now, code=last.code, detail=last.detail)


def _is_long(streak: Streak | None, users: int, now: datetime) -> bool:
    """Return whether a streak is long enough to suspect the target."""
    if streak is None or streak.polls < FAILING_POLLS or now - streak.since < FAILING_FOR:
        return False
    return len(streak.users) >= min(USERS_FOR_A_VERDICT, max(1, users))


def _with_absences(health: TargetHealth, shared: frozenset[str], now: datetime) -> TargetHealth:
    for key, verdict in health.verdicts.items():
        if verdict.fault in OF_ABSENCE and key not in shared:
            health = _end(health, verdict.fault, now, provider=verdict.provider)
    for key in sorted(shared):
        fault, _, provider = key.partition(":")
        health = _begin(health, Fault(fault), now, provider=provider or None)
    return health


def _set(health: TargetHealth, fault: Fault, holds: bool, now: datetime, code: str | None = None) -> TargetHealth:
    return _begin(health, fault, now, code=code) if holds else _end(health, fault, now)


def _begin(
    health: TargetHealth,
    fault: Fault,
    now: datetime,
    *,
    provider: str | None = None,
    code: str | None = None,
    detail: str | None = None,
) -> TargetHealth:
    key = verdict_key(fault, provider)
    if key in health.verdicts:
        return health
    verdict = TargetVerdict(fault=fault, since=now, provider=provider, code=code, detail=detail)
    begun = replace(health, verdicts={**health.verdicts, key: verdict})
    # A 503 outage looks like throttling until it is known to be one.
    return _end(begun, Fault.THROTTLED, now) if fault is Fault.UNREACHABLE else begun


def _end(health: TargetHealth, fault: Fault, now: datetime, *, provider: str | None = None) -> TargetHealth:
    key = verdict_key(fault, provider)
    if key not in health.verdicts:
        return health
    left = {name: verdict for name, verdict in health.verdicts.items() if name != key}
    ended = sorted({**health.ended, key: now}.items(), key=lambda item: item[1])[-REMEMBERED_ENDS:]
    return replace(health, verdicts=left, ended=dict(ended))

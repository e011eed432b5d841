"""A cohort in miniature: users that are polled, judged and kept in memory, against one target's budget.

It does what the poller and the store do between them, with values only, so that the rules about whole targets can be
tried on long histories of many users.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from monitor.core import judge
from monitor.core.budget import NEW, Budget, Pace
from monitor.core.judge import CALM, Cadence, Claim, Known, TargetView, Verdict
from monitor.core.model import Connection, Kind, Outcome, Presence, Snapshot, User, UserState
from monitor.core.target_health import PollAnswer, RecentPoll, RecentPolls, TargetHealth, after_question
from tests.core import soundness
from tests.core.samples import NOON, connected, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What comes back for one user: a snapshot, or what came instead of one."""

    outcome: Outcome
    code: str = "200"
    snapshot: Snapshot | None = None
    retry_after: timedelta | None = None


def rows(*connections: Connection, complete: bool = True) -> Reply:
    """Return a good answer with these rows."""
    return Reply(outcome=Outcome.CHANGED, snapshot=snapshot(*connections, complete=complete))


WELL: Final = rows(connected("fitbit"), connected("oura"))
NO_ROWS: Final = rows()
NO_FITBIT: Final = rows(connected("oura"))
NO_OURA: Final = rows(connected("fitbit"))
GONE: Final = Reply(outcome=Outcome.GONE, code="404")
INVALID: Final = Reply(outcome=Outcome.INVALID, code="422")
REFUSED: Final = Reply(outcome=Outcome.REJECTED, code="403")
THROTTLED: Final = Reply(outcome=Outcome.THROTTLED, code="429")
OVERLOADED: Final = Reply(outcome=Outcome.THROTTLED, code="503")
FAILED: Final = Reply(outcome=Outcome.UNAVAILABLE, code="500")
SILENT: Final = Reply(outcome=Outcome.TIMEOUT, code="timeout")
GARBLED: Final = Reply(outcome=Outcome.MALFORMED)
FAULTS: Final = (NO_ROWS, NO_FITBIT, GONE, INVALID, REFUSED, THROTTLED, OVERLOADED, FAILED, SILENT, GARBLED)


@dataclass
class Member:
    """One user as the store would keep it."""

    key: int
    next_poll_at: datetime
    connections: dict[str, Connection] = field(default_factory=dict)
    observed_at: datetime | None = None
    last: Verdict | None = None
    kinds: list[Kind] = field(default_factory=list)
    unlisted_at: datetime | None = None

    @property
    def presence(self) -> Presence:
        """What was observed of the user."""
        return self.last.presence if self.last else Presence.PRESENT

    def claim(self, target: str) -> Claim:
        """Return the user in hand."""
        user = User(target=target, user_id=UUID(int=self.key))
        claim = Claim(key=self.key, user=user, lease=1, due_at=self.next_poll_at, unlisted_at=self.unlisted_at)
        if self.last is None:
            return claim
        return replace(
            claim,
            observed_at=self.observed_at,
            digest=self.last.digest,
            failures=self.last.failures,
            presence=self.last.presence,
            missing_since=self.last.missing_since,
            outcome=None if self.last.failed_at is None else self.last.outcome.value,
            doubts=self.last.doubts,
            reason=self.last.reason,
        )

    def keep(self, verdict: Verdict) -> None:
        """Take over what a verdict says."""
        self.last, self.next_poll_at = verdict, verdict.next_poll_at
        self.observed_at = verdict.observed_at or self.observed_at
        if verdict.change is not None:
            self.kinds += [transition.kind for transition in verdict.change.transitions]
            if verdict.change.connections is not None:
                self.connections = dict(verdict.change.connections)

    def recent(self) -> RecentPoll | None:
        """Return the latest answer, where the user is one of those that verdicts count."""
        last = self.last
        at = None if last is None else last.failed_at or last.observed_at
        if last is None or at is None or self.presence is not Presence.PRESENT:
            return None
        outcome = None if last.failed_at is None else last.outcome
        return RecentPoll(key=self.key, at=at, outcome=outcome, missing=frozenset(last.doubts.connections))


@dataclass
class Cohort:
    """Users 1 to ``size``, all due at once, and what is known of their target."""

    size: int
    interval: timedelta = timedelta(minutes=15)
    now: datetime = NOON
    target: str = "acme_us"
    budget: Budget = field(default_factory=lambda: Pace(rate=1000).applied(NEW))
    question: Reply = field(default_factory=lambda: Reply(outcome=Outcome.UNCHANGED))
    questions: int = 0
    polls: Counter[int] = field(default_factory=Counter)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Register everybody."""
        self.cadence = Cadence(interval=self.interval, gone_interval=timedelta(days=1))
        self.members = {key: Member(key=key, next_poll_at=self.now) for key in range(1, self.size + 1)}

    @property
    def health(self) -> TargetHealth:
        """What is known of the target."""
        return self.budget.health

    @property
    def faults(self) -> set[str]:
        """The keys of the verdicts that hold."""
        return set(self.health.verdicts)

    def with_presence(self, presence: Presence) -> set[int]:
        """Return who is present, gone or invalid."""
        return {key for key, member in self.members.items() if member.presence is presence}

    def with_kind(self, kind: Kind) -> set[int]:
        """Return of whom such a transition was found."""
        return {key for key, member in self.members.items() if kind in member.kinds}

    def recent(self) -> RecentPolls:
        """Return the recently polled users, newest first."""
        since = self.now - 1.5 * self.interval
        polls = [poll for member in self.members.values() if (poll := member.recent()) and poll.at >= since]
        active = len(self.with_presence(Presence.PRESENT))
        newest = sorted(polls, key=lambda poll: (poll.at, poll.key), reverse=True)
        return RecentPolls(polls=newest[:200], users=active)

    def poll(self, replies: Mapping[int, Reply], *, asked_at: datetime | None = None) -> dict[int, Verdict]:
        """Poll these users now, whether due or not, and return what came of it."""
        answers = [self._answer(key, reply, asked_at or self.now) for key, reply in replies.items()]
        view = CALM
        if not self.health.is_calm or any(answer.is_remarkable for answer in answers):
            recent = self.recent().with_answers(answers)
            self.budget = self.budget.after_answers(answers, recent, self.now)
            view = TargetView(health=self.health, recent=recent)
        verdicts = {key: self._judge(self.members[key], reply, view) for key, reply in replies.items()}
        for key, verdict in verdicts.items():
            soundness.of_verdict(verdict, verdict.claim, self.now)
            self.members[key].keep(verdict)
            self.polls[key] += 1
            self.verdicts.append(verdict)
        return verdicts

    def poll_all(self, reply: Reply | Callable[[int], Reply], after: timedelta = timedelta(0)) -> None:
        """Let time pass, and poll everybody at once."""
        self.now += after
        script = reply if callable(reply) else lambda _: reply
        self.poll({key: script(key) for key in self.members})

    def run(self, lasts: timedelta, script: Callable[[int], Reply], step: timedelta = SECOND) -> None:
        """Let time pass, and poll whoever is due as the target's state allows."""
        until = self.now + lasts
        while self.now < until:
            self.now += step
            self.ask()
            due = sorted(self._due(), key=lambda member: (member.next_poll_at, member.key))
            due = due[: self.budget.allows(len(due), self.now)]
            self.budget = self.budget.spend(len(due), self.now)
            if due:
                self.poll({member.key: script(member.key) for member in due})

    def ask(self) -> None:
        """Ask about the target itself, where that is due."""
        asks, self.budget = self.budget.ask(self.now)
        if not asks:
            return
        self.questions += 1
        reply = self.question
        answer = PollAnswer(key=0, outcome=reply.outcome, code=reply.code, asked_at=self.now, at=self.now, counts=False)
        health = after_question(self.health, answer, answered_meanwhile=False, users=self.recent().users, now=self.now)
        self.budget = replace(self.budget, health=health)

    def _due(self) -> Iterable[Member]:
        return (member for member in self.members.values() if member.next_poll_at <= self.now)

    def _answer(self, key: int, reply: Reply, asked_at: datetime) -> PollAnswer:
        claim = self.members[key].claim(self.target)
        known = self._known(self.members[key])
        return PollAnswer(
            key=key,
            outcome=reply.outcome,
            code=reply.code,
            asked_at=asked_at,
            at=self.now,
            counts=claim.presence is Presence.PRESENT,
            missing=judge.missing_rows(known, reply.snapshot) if reply.snapshot else frozenset(),
            is_doubted=bool(claim.doubts),
            retry_after=reply.retry_after,
        )

    def _known(self, member: Member) -> Known:
        claim = member.claim(self.target)
        return Known(
            state=UserState(
                user=claim.user,
                connections=member.connections,
                observed_at=claim.observed_at,
                presence=claim.presence,
                missing_since=claim.missing_since,
            )
        )

    def _judge(self, member: Member, reply: Reply, view: TargetView) -> Verdict:
        claim, known, now = member.claim(self.target), self._known(member), self.now
        if reply.snapshot is not None:
            return judge.seen(claim, known, reply.snapshot, b"digest", self.cadence, now, view)
        if reply.outcome is Outcome.GONE:
            return judge.missing(claim, known, self.cadence, now, view)
        if reply.outcome is Outcome.INVALID:
            return judge.invalid(claim, "no user id", self.cadence, now, view)
        return judge.unobserved(claim, reply.outcome, self.cadence, now, view, retry_after=reply.retry_after)

"""A user's life against a store in miniature: a row in memory that takes over whatever a verdict says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from monitor.core import judge, tally
from monitor.core.alerting import AlertState
from monitor.core.model import Connection, Intent, Outcome, Presence, Snapshot, UserState
from tests.core import soundness
from tests.core.desk import Desk
from tests.core.samples import CADENCE, NOON, USER, broken, connected, paused
from tests.core.strategies import snapshots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from monitor.core.alerting import Alert, Decision
    from monitor.core.model import Transition
    from monitor.core.policy import Policy

Answer = Snapshot | Outcome

FAILURES: Final = sorted(set(Outcome) - {Outcome.UNCHANGED, Outcome.CHANGED, Outcome.GONE, Outcome.INVALID})


@dataclass
class Life:
    """Everything the store would hold of one user, and the verdicts that led to it."""

    policy: Policy
    connections: dict[str, Connection] = field(default_factory=dict)
    counts: Counter[tally.Key] = field(
        default_factory=lambda: tally.of_user(USER.target, Intent.ACTIVE, Presence.PRESENT)
    )
    transitions: list[Transition] = field(default_factory=list)
    last: judge.Verdict | None = None
    observed_at: datetime | None = None

    def __post_init__(self) -> None:
        """Let alerts be decided on beside it."""
        self.desk = Desk(self.policy)

    @property
    def decisions(self) -> list[Decision]:
        """Every step of every alert."""
        return self.desk.decisions

    @property
    def open_alerts(self) -> dict[str, Alert]:
        """Open alerts by provider."""
        return {each.provider: each for each in self.desk.open.values()}

    def meet(self, answer: Answer, now: datetime) -> judge.Verdict:
        """Judge ``answer`` and commit the verdict."""
        claim = self._claim(now)
        verdict = self._judge(claim, answer, now)
        soundness.of_verdict(verdict, claim, now)
        self.last = verdict
        self.observed_at = verdict.observed_at or self.observed_at
        self.counts.update(verdict.counts)
        if verdict.change is not None:
            self._commit(verdict.change)
        found = verdict.change.transitions if verdict.change else ()
        self.counts.update(self._moved(found, max([now, *(each.observed_at for each in found)])))
        return verdict

    def let_pass(self, now: datetime) -> None:
        """Let alerts be decided on that only wait for time."""
        self.counts.update(self._moved((), now))

    def _moved(self, found: Sequence[Transition], now: datetime) -> Counter[tally.Key]:
        before = Counter(self.desk.counts)
        self.desk.meet(found, now)
        return tally.difference(before, self.desk.counts)

    def recount(self) -> Counter[tally.Key]:
        """Count from scratch what the differences should add up to."""
        return (
            self._claim(NOON).counts
            + tally.of_connections(USER.target, self.connections.values())
            + tally.of_transitions(self.transitions)
            + tally.of_alerts(each for each in self.desk.open.values() if each.state is AlertState.FIRING)
        )

    def _claim(self, now: datetime) -> judge.Claim:
        if self.last is None:
            return judge.Claim(key=1, user=USER, lease=1, due_at=now)
        return judge.Claim(
            key=1,
            user=USER,
            lease=1,
            due_at=self.last.next_poll_at,
            observed_at=self.observed_at,
            digest=self.last.digest,
            failures=self.last.failures,
            presence=self.last.presence,
            missing_since=self.last.missing_since,
            outcome=None if self.last.failed_at is None else self.last.outcome.value,
            doubts=self.last.doubts,
            reason=self.last.reason,
        )

    def _judge(self, claim: judge.Claim, answer: Answer, now: datetime) -> judge.Verdict:
        known = judge.Known(
            state=UserState(
                user=USER, connections=self.connections, observed_at=claim.observed_at, presence=claim.presence
            ),
        )
        if isinstance(answer, Snapshot):
            return judge.seen(claim, known, answer, b"digest", CADENCE, now)
        if answer is Outcome.GONE:
            return judge.missing(claim, known, CADENCE, now)
        if answer is Outcome.INVALID:
            return judge.invalid(claim, "no user id", CADENCE, now)
        return judge.unobserved(claim, answer, CADENCE, now)

    def _commit(self, change: judge.Change) -> None:
        if change.connections is not None:
            self.connections = dict(change.connections)
        self.transitions.extend(change.transitions)


ROWS: Final = [
    None,
    connected(),
    broken(),
    connected(sleep="available"),
    connected(sleep="unavailable"),
    broken(sleep="available"),
    broken(error_type="unknown"),
    replace(broken(error_type=None), errored_at=NOON),
    replace(connected(), created_on=NOON),
    paused(),
]


@st.composite
def days(draw: st.DrawFn) -> Snapshot:
    """Draw a snapshot of two providers out of few rows, so that a life has many transitions of every kind."""
    drawn = {provider: draw(st.sampled_from(ROWS)) for provider in ("fitbit", "oura")}
    rows = {provider: replace(row, provider=provider) for provider, row in drawn.items() if row}
    return Snapshot(connections=rows, complete=draw(st.sampled_from([True, True, False])))


answers: Final[SearchStrategy[Answer]] = st.one_of(
    days(), days(), snapshots(), st.sampled_from([Outcome.GONE, Outcome.INVALID]), st.sampled_from(FAILURES)
)
steps: Final = st.integers(-600, 1800).map(lambda seconds: timedelta(seconds=seconds))
"""Between two polls; the clock may also step back."""


def lived(policy: Policy, story: list[tuple[Answer, timedelta]]) -> Life:
    """Return a life through all of ``story``."""
    life, now = Life(policy), NOON
    for answer, step in story:
        now += step
        life.meet(answer, now)
    return life


stories: Final = st.lists(st.tuples(answers, steps), min_size=4, max_size=20)

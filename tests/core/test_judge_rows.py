"""Verdicts on answers that lack rows: a connection disappears only when a second answer lacks it too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core import judge
from monitor.core.judge import CALM, Claim, Doubt, Doubts, Known, TargetView, Verdict
from monitor.core.model import Outcome, Snapshot
from monitor.core.target_health import Fault
from tests.core.samples import CADENCE, LATER, NOON, broken, claim, connected, doubt, snapshot, state, view

SECOND = timedelta(seconds=1)
DAY = CADENCE.believe_absence_after
KNOWN = Known(state=state(connected(), broken("oura")))
ONLY_OURA = snapshot(broken("oura"))


def judged(held: Claim, seen: Snapshot = ONLY_OURA, target: TargetView = CALM) -> Verdict:
    """Judge what a poll saw a quarter of an hour after noon, of a user with Fitbit and Oura."""
    return judge.seen(held, KNOWN, seen, b"this answer", CADENCE, LATER, target)


def lacking(seconds: float = 900, **doubts: Doubt) -> Claim:
    """Return a user whose answer lacked Fitbit so many seconds ago for the first time."""
    fitbit = {} if doubts else {"fitbit": doubt(LATER - seconds * SECOND)}
    return claim(digest=None, doubts=Doubts(connections=fitbit | doubts))


def kinds(verdict: Verdict) -> list[str]:
    """Return the kinds of transitions, with their providers."""
    transitions = verdict.change.transitions if verdict.change else ()
    return [f"{transition.kind} {transition.provider}" for transition in transitions]


def test_a_row_that_an_answer_lacks_is_kept_at_first() -> None:
    """Nothing changes; the user is polled again after 60 s at the latest, and that answer is parsed."""
    found = judged(claim())
    assert (found.outcome, found.change, found.digest) == (Outcome.UNCHANGED, None, None)
    assert found.doubts == Doubts(connections={"fitbit": doubt(LATER)})
    assert (found.observed_at, found.next_poll_at) == (LATER, LATER + 60 * SECOND)


@pytest.mark.parametrize(("seconds", "said"), [(59.999999, []), (60, ["disappeared fitbit"])])
def test_a_second_answer_that_lacks_it_counts_from_60_seconds_on(seconds: float, said: list[str]) -> None:
    """At 60 s sharp the connection disappears, a microsecond before it does not."""
    assert kinds(judged(lacking(seconds))) == said


def test_a_connection_that_disappeared_is_no_more_in_doubt() -> None:
    """The other one stays, and the next answer of the same bytes says nothing new."""
    found = judged(lacking())
    assert found.change is not None
    assert found.change.connections == {"oura": broken("oura")}
    assert (found.doubts, found.digest) == (Doubts(), b"this answer")


def test_rows_that_are_there_count_as_usual_meanwhile() -> None:
    """That one row is missing hides no news of another one."""
    found = judged(claim(), snapshot(connected("oura")))
    assert kinds(found) == ["recovered oura"]
    assert found.change is not None
    assert found.change.connections == {"fitbit": connected(), "oura": connected("oura")}


def test_a_row_that_is_back_is_in_doubt_no_more() -> None:
    """Nothing was said of its absence, and the next absence is a first one again."""
    found = judged(lacking(), snapshot(connected(), broken("oura")))
    assert (kinds(found), found.doubts, found.digest) == ([], Doubts(), b"this answer")


def test_each_row_has_a_doubt_of_its_own() -> None:
    """One is confirmed while the other one was seen until now, and is looked for in 60 s again."""
    found = judged(lacking(), snapshot())
    assert kinds(found) == ["disappeared fitbit"]
    assert found.doubts == Doubts(connections={"oura": doubt(LATER)})
    assert found.next_poll_at == LATER + 60 * SECOND


def test_the_next_doubt_that_may_be_confirmed_makes_the_user_due() -> None:
    """Also where its usual poll came between the first answer and the end of its 60 s."""
    found = judged(lacking(fitbit=doubt(LATER - 10 * SECOND), oura=doubt(LATER - 30 * SECOND)), snapshot())
    assert found.next_poll_at == LATER + 30 * SECOND


@pytest.mark.parametrize("seconds", [30, 60])
def test_users_of_a_short_interval_are_polled_at_their_usual_pace(seconds: int) -> None:
    """Confirming an absence takes no extra poll then."""
    cadence = replace(CADENCE, interval=seconds * SECOND)
    found = judge.seen(lacking(45), KNOWN, ONLY_OURA, b"this answer", cadence, LATER)
    assert found.next_poll_at == judge.unchanged(claim(), cadence, LATER).next_poll_at


def test_an_incomplete_answer_neither_begins_nor_ends_nor_confirms_a_doubt() -> None:
    """No absence is concluded from an answer with rows that cannot be read."""
    seen = snapshot(broken("oura"), complete=False)
    assert judged(claim(), seen).doubts == Doubts()
    held = lacking()
    found = judged(held, seen)
    assert (kinds(found), found.doubts, found.digest) == ([], held.doubts, None)


def test_an_incomplete_answer_that_has_the_row_ends_the_doubt() -> None:
    """It was seen."""
    assert judged(lacking(), snapshot(connected(), complete=False)).doubts == Doubts()


def test_a_failure_between_two_answers_keeps_the_doubt() -> None:
    """Nothing observed ends nothing."""
    held = lacking()
    assert judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER).doubts == held.doubts
    assert judge.missing(held, KNOWN, CADENCE, LATER).doubts.connections == held.doubts.connections


@pytest.mark.parametrize(
    "target",
    [
        view(Fault.CONNECTIONS_MISSING),
        view(Fault.PROVIDER_MISSING, provider="fitbit"),
        view(polled=9),
        view(polled=20, lacking=10),
    ],
    ids=["many rows are missing", "many rows of Fitbit are missing", "nine others polled", "half of those polled"],
)
def test_nothing_disappears_while_the_target_is_not_plausible(target: TargetView) -> None:
    """While many lack rows, and until enough others were polled."""
    held = lacking()
    found = judged(held, target=target)
    assert (kinds(found), found.doubts) == ([], held.doubts)
    assert found.next_poll_at == judge.unchanged(claim(), CADENCE, LATER).next_poll_at


@pytest.mark.parametrize("fault", [Fault.CONNECTIONS_MISSING, Fault.PROVIDER_MISSING])
def test_answers_from_before_the_end_of_such_a_time_confirm_nothing(fault: Fault) -> None:
    """The 60 s begin anew with the first answer after it; since when the row is missing is remembered."""
    provider = "fitbit" if fault is Fault.PROVIDER_MISSING else None
    target = view(fault, provider=provider, ended=LATER - SECOND)
    found = judged(lacking(), target=target)
    assert (kinds(found), found.doubts) == ([], Doubts(connections={"fitbit": doubt(LATER, NOON)}))
    assert found.next_poll_at == LATER + 60 * SECOND


def test_only_the_absences_of_the_one_provider_wait() -> None:
    """Oura is at fault, and Fitbit's rows disappear as ever."""
    assert kinds(judged(lacking(), target=view(Fault.PROVIDER_MISSING, provider="oura"))) == ["disappeared fitbit"]
    ended = view(Fault.PROVIDER_MISSING, provider="oura", ended=LATER)
    assert kinds(judged(lacking(), target=ended)) == ["disappeared fitbit"]


def test_an_answer_that_lacks_the_provider_at_fault_is_evidence_of_nothing_else() -> None:
    """A user whose answers are empty keeps all of its rows."""
    held = lacking(fitbit=doubt(NOON), oura=doubt(NOON))
    assert kinds(judged(held, snapshot(), view(Fault.PROVIDER_MISSING, provider="oura"))) == []


def test_other_faults_of_the_target_delay_nothing() -> None:
    """That many are not found says nothing about rows."""
    assert kinds(judged(lacking(), target=view(Fault.NOT_FOUND))) == ["disappeared fitbit"]


@pytest.mark.parametrize(("short_of_a_day", "said"), [(1, []), (0, ["disappeared fitbit"])])
def test_an_absence_of_a_day_is_believed(short_of_a_day: int, said: list[str]) -> None:
    """Whatever the target's state is: a provider that was shut down has no connections any more."""
    held = lacking(fitbit=doubt(LATER - SECOND, LATER - DAY + short_of_a_day * SECOND))
    assert kinds(judged(held, target=view(Fault.PROVIDER_MISSING, provider="fitbit"))) == said


def test_a_doubt_in_the_future_begins_now() -> None:
    """Where the clock stepped back by a year, the row disappears after 60 s more, not after a year."""
    found = judged(lacking(fitbit=doubt(LATER + timedelta(days=365))))
    assert found.doubts == Doubts(connections={"fitbit": doubt(LATER)})


def test_a_user_that_is_new_lacks_nothing() -> None:
    """Only rows that were known can be missing."""
    new = Known(state=state(observed_at=None))
    assert judge.missing_rows(new, snapshot()) == frozenset()
    assert judge.missing_rows(KNOWN, ONLY_OURA) == {"fitbit"}
    assert judge.missing_rows(KNOWN, snapshot(complete=False)) == frozenset()

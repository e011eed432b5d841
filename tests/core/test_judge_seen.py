"""Verdicts on answers that show the user's connections."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from monitor.core import judge
from monitor.core.judge import Doubts, Known, Verdict
from monitor.core.model import Kind, Outcome, Presence, Snapshot
from monitor.core.tally import Count, Key
from tests.core.samples import (
    CADENCE,
    LATER,
    NOON,
    broken,
    claim,
    connected,
    doubt,
    snapshot,
    state,
)
from tests.core.strategies import snapshots

HOUR = timedelta(hours=1)


def judged(known: Known, seen: Snapshot, held: judge.Claim | None = None) -> Verdict:
    """Judge what a poll saw a quarter of an hour after noon."""
    return judge.seen(held or claim(), known, seen, b"this answer", CADENCE, LATER)


def test_the_same_bytes_are_known_to_be_unchanged() -> None:
    """Nothing is written but the time of observation and the next due time; a streak of failures ends."""
    found = judge.unchanged(claim(failures=3, missing_since=NOON), CADENCE, LATER)
    assert (found.outcome, found.change, found.observed_at) == (Outcome.UNCHANGED, None, LATER)
    assert (found.digest, found.failures, found.missing_since) == (b"last answer", 0, None)
    assert LATER < found.next_poll_at <= LATER + CADENCE.interval


def test_other_bytes_that_say_the_same_change_nothing() -> None:
    """An answer that differs only in form is unchanged, and its digest is kept for the next poll."""
    found = judged(Known(state=state(connected())), snapshot(connected()))
    assert (found.outcome, found.change, found.digest) == (Outcome.UNCHANGED, None, b"this answer")


def test_news_carries_everything_that_is_to_be_committed() -> None:
    """Transitions, connections and counts come in one change."""
    found = judged(Known(state=state(connected())), snapshot(broken()))
    assert found.change is not None
    assert [each.kind for each in found.change.transitions] == [Kind.ERRORED]
    assert found.change.connections == {"fitbit": broken()}
    assert found.change.counts == {
        Key("acme_us", Count.CONNECTIONS, "fitbit", "connected"): -1,
        Key("acme_us", Count.CONNECTIONS, "fitbit", "error", "token_refresh_failed"): 1,
        Key("acme_us", Count.TRANSITIONS, "fitbit", "errored", "token_refresh_failed"): 1,
    }


def test_a_change_without_a_transition_is_still_kept() -> None:
    """A first word on a resource is no transition and changes what is known."""
    found = judged(Known(state=state(connected())), snapshot(connected(sleep="unavailable")))
    assert found.outcome is Outcome.CHANGED
    assert found.change is not None
    assert found.change.transitions == ()
    assert found.change.counts == {Key("acme_us", Count.RESOURCES_UNAVAILABLE, "fitbit", "sleep"): 1}


def test_a_first_snapshot_is_news_even_when_it_is_empty() -> None:
    """That the user has no connections is kept, so that the next snapshot is no baseline."""
    found = judged(Known(state=state(observed_at=None)), snapshot(), claim(observed_at=None, digest=None))
    assert found.outcome is Outcome.CHANGED
    assert found.change is not None
    assert (found.change.transitions, found.change.connections, found.change.counts) == ((), {}, {})
    assert found.observed_at == LATER


def test_an_incomplete_answer_is_parsed_again_next_time() -> None:
    """Its digest is forgotten, so that its malformed rows are counted at every poll."""
    found = judged(Known(state=state(connected())), snapshot(connected(), complete=False))
    assert (found.outcome, found.digest, found.observed_at) == (Outcome.UNCHANGED, None, LATER)


def test_a_good_answer_ends_a_streak_of_404s() -> None:
    """The first 404 is forgotten, also by an incomplete answer."""
    held = claim(missing_since=NOON, failures=1, doubts=Doubts(not_found=doubt(NOON), invalid=doubt(NOON)))
    for seen in (snapshot(connected()), snapshot(complete=False)):
        found = judged(Known(state=state(connected())), seen, held)
        assert (found.missing_since, found.failures, found.presence) == (None, 0, Presence.PRESENT)
        assert not found.doubts


def test_a_gone_user_that_answers_is_back() -> None:
    """It is present again, counted as active, and its connections begin anew."""
    held = claim(presence=Presence.GONE, missing_since=NOON, digest=None)
    found = judged(Known(state=state(presence=Presence.GONE)), snapshot(connected()), held)
    assert found.presence is Presence.PRESENT
    assert found.change is not None
    assert [each.kind for each in found.change.transitions] == [Kind.USER_RETURNED, Kind.APPEARED]
    assert found.counts[Key("acme_us", Count.USERS, "active")] == 1
    assert found.counts[Key("acme_us", Count.USERS, "gone")] == -1


def test_observations_stay_in_order_where_the_clock_steps_back() -> None:
    """The time of observation always passes the last one, by the least that can be told apart."""
    held = claim(observed_at=LATER + HOUR)
    after = LATER + HOUR + timedelta(microseconds=1)
    assert judge.unchanged(held, CADENCE, LATER).observed_at == after
    found = judged(Known(state=state(connected(), observed_at=LATER + HOUR)), snapshot(broken()), held)
    assert found.change is not None
    assert found.observed_at == found.change.transitions[0].observed_at == after


def test_only_times_are_new_where_a_good_answer_follows_its_like() -> None:
    """Nearly all polls are of this kind, and are written by one statement."""
    found = judge.unchanged(claim(), CADENCE, LATER)
    assert found.only_times
    assert found.counts == {}


@pytest.mark.parametrize(
    "held",
    [claim(outcome="timeout"), claim(doubts=Doubts(invalid=doubt(NOON))), claim(digest=None)],
    ids=["the last poll failed", "something was in doubt", "no answer is remembered"],
)
def test_more_than_times_is_new_where_the_last_poll_left_something(held: judge.Claim) -> None:
    """It has to be taken back, so the whole row is written."""
    assert not judge.unchanged(held, CADENCE, LATER).only_times


def test_an_answer_of_other_bytes_is_written_in_full() -> None:
    """Its digest is new."""
    assert not judged(Known(state=state(connected())), snapshot(connected())).only_times


@given(snapshots())
def test_the_next_poll_keeps_the_user_s_place(seen: Snapshot) -> None:
    """After any good answer that lacks nothing the user is due at its own place within one interval."""
    found = judged(Known(state=state()), seen)
    assert LATER < found.next_poll_at <= LATER + CADENCE.interval
    assert found.next_poll_at == judge.unchanged(claim(), CADENCE, LATER).next_poll_at

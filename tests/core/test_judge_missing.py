"""Verdicts on a 404: it takes a second one, at least 60 s after the first, of a target that is plausible."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core import judge
from monitor.core.judge import CALM, Claim, Doubts, Known, TargetView, Verdict
from monitor.core.model import Kind, Outcome, Presence
from monitor.core.tally import Count, Key
from monitor.core.target_health import Fault
from tests.core.samples import CADENCE, LATER, NOON, broken, claim, connected, doubt, state, view

SECOND = timedelta(seconds=1)
DAY = CADENCE.believe_absence_after
KNOWN = Known(state=state(connected(), broken("oura")))
FORGETFUL = view(Fault.NOT_FOUND)


def judged(held: Claim, *, known: Known | None = KNOWN, seen: TargetView = CALM) -> Verdict:
    """Judge a 404 that came a quarter of an hour after noon."""
    return judge.missing(held, known, CADENCE, LATER, seen)


def missed(seconds: float = 900, *, longer: timedelta = timedelta(0)) -> Claim:
    """Return a user whose first 404 came so many seconds ago, and that was not found for ``longer`` before that."""
    first = LATER - seconds * SECOND
    return claim(
        missing_since=first - longer, failures=1, outcome="gone", doubts=Doubts(not_found=doubt(first, first - longer))
    )


def test_a_first_404_is_doubted() -> None:
    """Nothing changes, the reason is kept, and the user is polled again after 60 s at the latest."""
    found = judged(claim())
    assert (found.outcome, found.change, found.presence) == (Outcome.GONE, None, Presence.PRESENT)
    assert (found.missing_since, found.failures, found.digest) == (LATER, 1, b"last answer")
    assert (found.next_poll_at, found.observed_at, found.failed_at) == (LATER + 60 * SECOND, None, LATER)
    assert found.doubts == Doubts(not_found=doubt(LATER))
    assert found.reason == "Junction does not know the user (404)"


@pytest.mark.parametrize(
    ("seconds", "presence"), [(0, Presence.PRESENT), (59.999999, Presence.PRESENT), (60, Presence.GONE)]
)
def test_the_second_404_counts_from_60_seconds_on(seconds: float, presence: Presence) -> None:
    """At 60 s sharp the user is gone, a microsecond before it is not."""
    assert judged(missed(seconds)).presence is presence


def test_an_early_second_404_keeps_the_time_of_the_first() -> None:
    """The 60 s run from the first 404 in a row, and the user is polled again when they are over."""
    found = judged(missed(30))
    assert (found.missing_since, found.doubts.not_found) == (LATER - 30 * SECOND, doubt(LATER - 30 * SECOND))
    assert (found.next_poll_at, found.failures) == (LATER + 30 * SECOND, 2)


def test_a_404_that_stays_in_doubt_is_repeated_at_the_usual_pace() -> None:
    """The extra poll is made once."""
    found = judged(missed(), seen=FORGETFUL)
    assert found.next_poll_at == judge.unchanged(claim(), CADENCE, LATER).next_poll_at


def test_a_gone_user_s_connections_end() -> None:
    """One transition, all connections out of the counts, the user counted as gone."""
    found = judged(missed())
    assert found.change is not None
    assert [transition.kind for transition in found.change.transitions] == [Kind.USER_GONE]
    assert found.change.connections == {}
    assert found.counts == {
        Key("acme_us", Count.CONNECTIONS, "fitbit", "connected"): -1,
        Key("acme_us", Count.CONNECTIONS, "oura", "error", "token_refresh_failed"): -1,
        Key("acme_us", Count.USERS, "active"): -1,
        Key("acme_us", Count.USERS, "gone"): 1,
        Key("acme_us", Count.TRANSITIONS, "", "user_gone"): 1,
    }


def test_a_gone_user_is_asked_at_its_own_slow_pace() -> None:
    """Within one gone interval, with nothing remembered of its last answer, no failures, and when it went."""
    found = judged(missed())
    assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval
    assert (found.digest, found.failures, found.observed_at, found.missing_since) == (None, 0, None, LATER)
    assert not found.doubts


def test_another_404_of_a_gone_user_is_no_news() -> None:
    """It stays gone since it went, whatever the target's state is."""
    held = claim(presence=Presence.GONE, missing_since=NOON, digest=None)
    for seen in (CALM, FORGETFUL):
        found = judged(held, seen=seen)
        assert (found.outcome, found.change, found.presence) == (Outcome.GONE, None, Presence.GONE)
        assert (found.missing_since, found.counts) == (NOON, {})
        assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval


def test_a_404_of_an_invalid_user_leaves_it_invalid() -> None:
    """It is paused with its reason, and goes on being polled once in a gone interval."""
    found = judged(claim(presence=Presence.INVALID, reason="no user id"))
    assert (found.outcome, found.presence, found.reason) == (Outcome.GONE, Presence.INVALID, "no user id")
    assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval


def test_nobody_is_declared_gone_while_many_are_not_found() -> None:
    """The first 404 is kept, for when the target finds users again."""
    found = judged(missed(), seen=FORGETFUL)
    assert (found.change, found.presence, found.missing_since, found.failures) == (None, Presence.PRESENT, NOON, 2)


def test_404s_from_before_the_end_of_such_a_time_confirm_nothing() -> None:
    """The doubt begins anew, and is confirmed 60 s later; since when the user is missing is remembered."""
    found = judged(missed(), seen=view(Fault.NOT_FOUND, ended=LATER - SECOND))
    assert (found.presence, found.doubts) == (Presence.PRESENT, Doubts(not_found=doubt(LATER, NOON)))
    assert found.next_poll_at == LATER + 60 * SECOND
    assert judged(missed(), seen=view(Fault.NOT_FOUND, ended=NOON)).presence is Presence.GONE


@pytest.mark.parametrize(("polled", "presence"), [(9, Presence.PRESENT), (10, Presence.GONE)])
def test_ten_others_must_have_been_polled_meanwhile(polled: int, presence: Presence) -> None:
    """One user's two answers say nothing about whether the target finds anybody."""
    assert judged(missed(), seen=view(polled=polled)).presence is presence


def test_a_404_that_many_of_those_polled_meanwhile_share_is_not_confirmed() -> None:
    """In a cohort of hundreds a fault of the target takes minutes to reach a fifth of the recently polled users."""
    assert judged(missed(), seen=view(polled=20, outcome=Outcome.GONE)).presence is Presence.PRESENT
    assert judged(missed(), seen=view(polled=20, outcome=Outcome.INVALID)).presence is Presence.GONE


@pytest.mark.parametrize(
    ("read_ago", "presence"), [(899, Presence.GONE), (900, Presence.PRESENT), (-1, Presence.PRESENT)]
)
def test_a_user_that_a_list_read_after_its_first_404_does_not_name_is_gone(read_ago: int, presence: Presence) -> None:
    """Also while many are not found; an older list, or one of a clock that was ahead, says nothing."""
    held = replace(missed(900), unlisted_at=LATER - read_ago * SECOND)
    assert judged(held, seen=FORGETFUL).presence is presence


def test_an_unlisted_user_needs_its_second_404_too() -> None:
    """At least 60 s after the first one."""
    for seconds, presence in ((59, Presence.PRESENT), (60, Presence.GONE)):
        held = replace(missed(seconds), unlisted_at=LATER)
        assert judged(held, seen=FORGETFUL).presence is presence


@pytest.mark.parametrize(("outcome", "presence"), [(None, Presence.GONE), (Outcome.TIMEOUT, Presence.PRESENT)])
def test_a_404_of_a_day_is_believed_where_others_were_answered(outcome: Outcome | None, presence: Presence) -> None:
    """Even while many are not found; where nobody else gets an answer it is the target."""
    held = missed(longer=DAY - 900 * SECOND)
    assert judged(held, seen=view(Fault.NOT_FOUND, outcome=outcome)).presence is presence
    almost = missed(longer=DAY - 901 * SECOND)
    assert judged(almost, seen=view(Fault.NOT_FOUND, outcome=outcome)).presence is Presence.PRESENT


def test_a_user_that_the_store_no_longer_knows_is_left_alone() -> None:
    """Without what is remembered nothing can be ended; the commit will find the lease gone."""
    found = judged(missed(), known=None)
    assert (found.change, found.presence, found.missing_since) == (None, Presence.PRESENT, NOON)


def test_a_first_404_that_an_older_release_noted_is_no_answer_of_ours() -> None:
    """It is remembered, and confirmed by a second one from now on."""
    found = judged(claim(missing_since=NOON, failures=1))
    assert (found.presence, found.missing_since) == (Presence.PRESENT, NOON)
    assert found.doubts == Doubts(not_found=doubt(LATER, NOON))


def test_a_first_404_in_the_future_is_moved_to_now() -> None:
    """Where the clock stepped back by a year, the user is gone after 60 s more, not after a year."""
    ahead = LATER + timedelta(days=365)
    found = judged(claim(missing_since=ahead, failures=1, doubts=Doubts(not_found=doubt(ahead))))
    assert (found.change, found.missing_since, found.doubts) == (None, LATER, Doubts(not_found=doubt(LATER)))


def test_the_time_of_going_follows_the_last_observation() -> None:
    """Where the clock stepped back, the user still goes after it was last seen."""
    seen_at = LATER + timedelta(hours=1)
    held = replace(missed(), observed_at=seen_at)
    found = judged(held, known=Known(state=state(connected(), observed_at=seen_at)))
    assert found.change is not None
    assert found.change.transitions[0].observed_at == found.missing_since == seen_at + timedelta(microseconds=1)


def test_a_user_gone_before_it_was_ever_seen_is_gone_all_the_same() -> None:
    """The transition is a baseline: there is no snapshot before it."""
    found = judged(replace(missed(), observed_at=None), known=Known(state=state(observed_at=None)))
    assert found.change is not None
    assert [(each.kind, each.baseline) for each in found.change.transitions] == [(Kind.USER_GONE, True)]

"""Verdicts on a 404: it takes a second one, at least 60 s after the first, of a target that is trusted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.core import judge
from monitor.core.judge import Claim, Known, Verdict
from monitor.core.model import Kind, Outcome, Presence
from monitor.core.tally import Count, Key
from tests.core.samples import CADENCE, LATER, NOON, broken, claim, connected, state

SECOND = timedelta(seconds=1)
KNOWN = Known(state=state(connected(), broken("oura")))


def judged(held: Claim, *, known: Known | None = KNOWN, trusted: bool = True) -> Verdict:
    """Judge a 404 that came a quarter of an hour after noon."""
    return judge.missing(held, known, CADENCE, LATER, trusted=trusted)


def test_a_first_404_only_starts_the_clock() -> None:
    """Nothing changes, and the user is asked again after 60 s, not before."""
    found = judged(claim())
    assert (found.outcome, found.change, found.presence) == (Outcome.GONE, None, Presence.PRESENT)
    assert (found.missing_since, found.failures, found.digest) == (LATER, 1, b"last answer")
    assert (found.next_poll_at, found.observed_at) == (LATER + 60 * SECOND, None)


@pytest.mark.parametrize(
    ("seconds", "presence"), [(0, Presence.PRESENT), (59.999999, Presence.PRESENT), (60, Presence.GONE)]
)
def test_the_second_404_counts_from_60_seconds_on(seconds: float, presence: Presence) -> None:
    """At 60 s sharp the user is gone, a microsecond before it is not."""
    held = claim(missing_since=LATER - seconds * SECOND, failures=1)
    assert judge.confirms(held, LATER, trusted=True) is (presence is Presence.GONE)
    assert judged(held).presence is presence


def test_an_early_second_404_keeps_the_time_of_the_first() -> None:
    """The 60 s run from the first 404 in a row."""
    first = LATER - 30 * SECOND
    assert judged(claim(missing_since=first, failures=1)).missing_since == first


def test_a_gone_user_s_connections_end() -> None:
    """One transition, all connections out of the counts, the user counted as gone."""
    found = judged(claim(missing_since=NOON, failures=1))
    assert found.change is not None
    assert [each.kind for each in found.change.transitions] == [Kind.USER_GONE]
    assert found.change.connections == {}
    assert found.change.counts == {
        Key("acme_us", Count.CONNECTIONS, "fitbit", "connected"): -1,
        Key("acme_us", Count.CONNECTIONS, "oura", "error", "token_refresh_failed"): -1,
        Key("acme_us", Count.USERS, "active"): -1,
        Key("acme_us", Count.USERS, "gone"): 1,
        Key("acme_us", Count.TRANSITIONS, "", "user_gone"): 1,
    }


def test_a_gone_user_is_asked_at_its_own_slow_pace() -> None:
    """Within one gone interval, with nothing remembered of its last answer, no failures, and when it went."""
    found = judged(claim(missing_since=NOON, failures=1))
    assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval
    assert (found.digest, found.failures, found.observed_at, found.missing_since) == (None, 0, None, LATER)


def test_another_404_of_a_gone_user_is_no_news() -> None:
    """It stays gone since it went, whether or not the target is trusted."""
    held = claim(presence=Presence.GONE, missing_since=NOON, digest=None)
    for trusted in (True, False):
        found = judged(held, trusted=trusted)
        assert (found.outcome, found.change, found.presence) == (Outcome.GONE, None, Presence.GONE)
        assert found.missing_since == NOON
        assert LATER < found.next_poll_at <= LATER + CADENCE.gone_interval
    assert not judge.confirms(held, LATER, trusted=True)


def test_a_target_that_is_not_trusted_makes_nobody_gone() -> None:
    """The 404s go on being counted, and the user is asked again after a back-off of at least 60 s."""
    found = judged(claim(missing_since=NOON, failures=9), trusted=False)
    assert (found.change, found.presence, found.missing_since, found.failures) == (None, Presence.PRESENT, NOON, 10)
    assert 60 * SECOND < found.next_poll_at - LATER <= CADENCE.interval


def test_a_user_that_the_store_no_longer_knows_is_left_alone() -> None:
    """Without what is remembered nothing can be ended; the commit will find the lease gone."""
    found = judged(claim(missing_since=NOON, failures=1), known=None)
    assert (found.change, found.presence, found.missing_since) == (None, Presence.PRESENT, NOON)


def test_a_first_404_in_the_future_is_moved_to_now() -> None:
    """Where the clock stepped back by a year, the user is gone after 60 s more, not after a year."""
    found = judged(claim(missing_since=LATER + timedelta(days=365), failures=1))
    assert (found.change, found.missing_since) == (None, LATER)


def test_the_time_of_going_follows_the_last_observation() -> None:
    """Where the clock stepped back, the user still goes after it was last seen."""
    seen_at = LATER + timedelta(hours=1)
    found = judged(
        claim(observed_at=seen_at, missing_since=NOON), known=Known(state=state(connected(), observed_at=seen_at))
    )
    assert found.change is not None
    assert found.change.transitions[0].observed_at == found.missing_since == seen_at + timedelta(microseconds=1)


def test_a_user_gone_before_it_was_ever_seen_is_gone_all_the_same() -> None:
    """The transition is a baseline: there is no snapshot before it."""
    found = judged(claim(observed_at=None, missing_since=NOON), known=Known(state=state(observed_at=None)))
    assert found.change is not None
    assert [(each.kind, each.baseline) for each in found.change.transitions] == [(Kind.USER_GONE, True)]

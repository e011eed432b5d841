from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.demo.reconcile import Step, Tally, reconcile

START = datetime(2026, 1, 1, tzinfo=UTC)
BLIND = timedelta(seconds=5)
Face = tuple[str | None, ...]
CONNECTED: Face = ("connected", None)
BROKEN: Face = ("error", "unknown")
OTHER: Face = ("error", "token_refresh_failed")
KINDS = {
    (CONNECTED, BROKEN): "errored",
    (CONNECTED, OTHER): "errored",
    (BROKEN, CONNECTED): "recovered",
    (OTHER, CONNECTED): "recovered",
    (BROKEN, OTHER): "error_changed",
    (OTHER, BROKEN): "error_changed",
}


def step(before: Face, after: Face, seconds: float = 0, provider: str = "fitbit") -> Step:
    """Return a change of one user's connection, so many seconds after the start."""
    at = START + timedelta(seconds=seconds)
    return Step(place=("user", provider, None), kind=KINDS[before, after], at=at, before=before, after=after)


def test_every_change_that_was_found_is_found() -> None:
    """Equal lists have nothing left over."""
    steps = [step(CONNECTED, BROKEN, 0), step(BROKEN, CONNECTED, 60)]
    assert reconcile(steps, steps, blind=BLIND) == Tally(made=2, found=2)


def test_a_long_history_is_compared_to_its_end() -> None:
    """As many changes of one connection as a demonstration of hours has."""
    pairs = itertools.cycle([(CONNECTED, BROKEN), (BROKEN, CONNECTED)])
    steps = [step(*pair, seconds=60 * number) for number, pair in enumerate(itertools.islice(pairs, 500))]
    tally = reconcile(steps, steps[:-1], blind=BLIND)
    assert (tally.made, tally.found, tally.missed, tally.invented) == (500, 499, 1, 0)


def test_a_change_that_nobody_found_is_missed() -> None:
    """A lasting change without a transition is the monitor's fault."""
    tally = reconcile([step(CONNECTED, BROKEN)], [], blind=BLIND)
    assert (tally.made, tally.found, tally.missed, tally.invented) == (1, 0, 1, 0)
    assert "errored" in tally.unexplained[0]


def test_a_transition_that_nobody_made_is_invented() -> None:
    """So is a transition without a change."""
    tally = reconcile([], [step(CONNECTED, BROKEN)], blind=BLIND)
    assert (tally.found, tally.missed, tally.invented) == (0, 0, 1)


def test_what_came_and_went_between_two_polls_is_named_as_such() -> None:
    """Nobody can see it, so it is neither made nor missed."""
    fleeting = [step(CONNECTED, BROKEN, 0), step(BROKEN, CONNECTED, 2)]
    assert reconcile(fleeting, [], blind=BLIND) == Tally(fleeting=2)


def test_what_lasted_longer_than_anyone_was_blind_did_not_come_and_go() -> None:
    """Then a poll must have seen it."""
    lasting = [step(CONNECTED, BROKEN, 0), step(BROKEN, CONNECTED, 60)]
    tally = reconcile(lasting, [], blind=BLIND)
    assert (tally.made, tally.missed, tally.fleeting) == (2, 2, 0)


def test_several_changes_between_two_polls_are_seen_as_their_net_effect() -> None:
    """Broken and broken otherwise is one error to an observer."""
    changes = [step(CONNECTED, BROKEN, 0), step(BROKEN, OTHER, 2)]
    assert reconcile(changes, [step(CONNECTED, OTHER, 3)], blind=BLIND) == Tally(made=1, found=1, fleeting=1)


def test_one_connection_does_not_make_up_for_another() -> None:
    """A transition of another provider explains nothing."""
    tally = reconcile([step(CONNECTED, BROKEN)], [step(CONNECTED, BROKEN, provider="oura")], blind=BLIND)
    assert (tally.missed, tally.invented) == (1, 1)


def test_a_resource_of_a_row_that_vanishes_at_once_cannot_be_seen() -> None:
    """What it lost just before is no miss; long before, it is."""
    lost = Step(place=("user", "fitbit", "sleep"), kind="resource_lost", at=START, before=("True",), after=("False",))
    for seconds, missed in ((3, 0), (60, 1)):
        gone = Step(
            place=("user", "fitbit", None),
            kind="disappeared",
            at=START + timedelta(seconds=seconds),
            before=CONNECTED,
            after=(None, None),
        )
        assert reconcile([lost, gone], [gone], blind=BLIND).missed == missed


@given(st.lists(st.sampled_from([CONNECTED, BROKEN, OTHER]), max_size=8), st.data())
def test_whatever_is_taken_away_is_missed(faces: list[Face], data: st.DataObject) -> None:
    """Of changes that lie far apart, exactly those that were not found are missed."""
    walk = [CONNECTED, *faces]
    made = [step(a, b, 60 * i) for i, (a, b) in enumerate(itertools.pairwise(walk)) if a != b]
    kept = [each for each in made if data.draw(st.booleans())]
    tally = reconcile(made, kept, blind=BLIND)
    assert (tally.made, tally.found, tally.missed, tally.invented) == (
        len(made),
        len(kept),
        len(made) - len(kept),
        0,
    )

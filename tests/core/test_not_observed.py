"""*Not observed* never looks like *gone*: rows that could not be read, resources that a row does not mention."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.diff import diff, patch
from monitor.core.model import Kind
from tests.core.samples import LATER, between, broken, connected, only, snapshot, state


def test_an_incomplete_answer_concludes_no_absence() -> None:
    """A row that is missing beside an unreadable one yields nothing and stays known."""
    seen = snapshot(connected(), complete=False)
    known = state(connected(), broken("oura"))
    assert diff(known, seen, LATER) == ()
    assert patch(known.connections, seen) == known.connections


def test_the_good_rows_of_an_incomplete_answer_count() -> None:
    """News in a readable row is news, whatever stands beside it."""
    found = only(diff(state(connected(), connected("oura")), snapshot(broken(), complete=False), LATER))
    assert (found.kind, found.provider) == (Kind.ERRORED, "fitbit")


def test_an_incomplete_empty_answer_says_nothing() -> None:
    """An answer of nothing but unreadable rows changes nothing."""
    known = state(connected(), broken("oura"))
    assert diff(known, snapshot(complete=False), LATER) == ()


def test_a_complete_empty_answer_ends_every_connection() -> None:
    """An empty list is an observation: the user has no connections."""
    assert between(connected(), broken("oura"), after=()) == ["disappeared fitbit", "disappeared oura"]


def test_a_resource_that_a_row_no_longer_mentions_is_kept() -> None:
    """Its last word stays and nothing is lost."""
    row = connected(sleep="available", activity="available")
    seen = snapshot(connected(activity="available"))
    assert diff(state(row), seen, LATER) == ()
    assert patch({"fitbit": row}, seen) == {"fitbit": row}


def test_a_resource_that_a_row_mentions_for_the_first_time_is_no_loss() -> None:
    """Without a before there is no difference, whatever the first word is."""
    row = connected(sleep="unavailable")
    assert between(connected(), after=(row,)) == []
    assert patch({"fitbit": connected()}, snapshot(row)) == {"fitbit": row}


def test_a_loss_behind_a_silence_is_found() -> None:
    """Available, unmentioned, unavailable: the change is found against the last word that was heard."""
    silent = patch({"fitbit": connected(sleep="available")}, snapshot(connected()))
    found = diff(replace(state(), connections=silent), snapshot(connected(sleep="unavailable")), LATER)
    assert only(found).kind is Kind.RESOURCE_LOST


def test_a_loss_while_in_error_is_told_too() -> None:
    """Resources of a row in error are compared like any other."""
    assert between(broken(sleep="available"), after=(broken(sleep="unavailable"),)) == ["resource_lost fitbit sleep"]


def test_unknown_words_are_kept_as_sent() -> None:
    """Status, error type, provider and resource words of any kind go through untouched."""
    row = replace(broken("NEU", error_type="Weiß nicht"), status="error", resources={"ÄÖ": "vielleicht"})
    found = only(diff(state(), snapshot(row), LATER))
    assert (found.provider, found.error_type) == ("NEU", "Weiß nicht")
    assert patch({}, snapshot(row)) == {"NEU": row}

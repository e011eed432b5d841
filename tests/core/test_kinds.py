"""An example of each kind of transition, word for word."""

from __future__ import annotations

from dataclasses import fields, replace

from monitor.core.diff import depart, diff
from monitor.core.model import Kind, Presence, Transition
from tests.core.samples import LATER, NOON, USER, between, broken, connected, only, paused, snapshot, state


def said(transition: Transition) -> dict[str, object]:
    """Return what a transition says, without what every transition says and without its nulls."""
    frame = {"id", "target", "user_id", "kind", "previous_observed_at", "observed_at"}
    found = {each.name: getattr(transition, each.name) for each in fields(transition) if each.name not in frame}
    return {name: value for name, value in found.items() if value not in {None, False}}


def test_appeared() -> None:
    """A new row that is not in error."""
    found = only(diff(state(), snapshot(connected()), LATER))
    assert found.kind is Kind.APPEARED
    assert said(found) == {"provider": "fitbit", "status": "connected"}


def test_errored() -> None:
    """Into ``error``, with all that the vendor says of it."""
    found = only(diff(state(connected()), snapshot(broken()), LATER))
    assert found.kind is Kind.ERRORED
    assert said(found) == {
        "provider": "fitbit",
        "previous_status": "connected",
        "status": "error",
        "error_type": "token_refresh_failed",
        "error_message": broken().error_message,
        "errored_at": broken().errored_at,
    }


def test_error_changed() -> None:
    """Still ``error``, of another type: both types are named."""
    found = only(diff(state(broken()), snapshot(broken(error_type="user_not_found")), LATER))
    assert found.kind is Kind.ERROR_CHANGED
    assert (found.previous_status, found.status) == ("error", "error")
    assert (found.previous_error_type, found.error_type) == ("token_refresh_failed", "user_not_found")


def test_recovered() -> None:
    """``error`` to ``connected``: the error that ended is named, none is now."""
    found = only(diff(state(broken()), snapshot(connected()), LATER))
    assert found.kind is Kind.RECOVERED
    assert said(found) == {
        "provider": "fitbit",
        "previous_status": "error",
        "status": "connected",
        "previous_error_type": "token_refresh_failed",
    }


def test_reconnected() -> None:
    """``connected`` before and after, created anew between."""
    found = only(diff(state(connected()), snapshot(replace(connected(), created_on=NOON)), LATER))
    assert found.kind is Kind.RECONNECTED
    assert said(found) == {"provider": "fitbit", "previous_status": "connected", "status": "connected"}


def test_status_changed() -> None:
    """Any other change of status."""
    found = only(diff(state(connected()), snapshot(paused()), LATER))
    assert found.kind is Kind.STATUS_CHANGED
    assert said(found) == {"provider": "fitbit", "previous_status": "connected", "status": "paused"}


def test_disappeared() -> None:
    """The row is gone: what it was is named, and nothing of what it is."""
    found = only(diff(state(broken()), snapshot(), LATER))
    assert found.kind is Kind.DISAPPEARED
    assert said(found) == {
        "provider": "fitbit",
        "previous_status": "error",
        "previous_error_type": "token_refresh_failed",
    }


def test_resource_lost() -> None:
    """A connected row silently loses a resource."""
    found = only(diff(state(connected(sleep="available")), snapshot(connected(sleep="unavailable")), LATER))
    assert found.kind is Kind.RESOURCE_LOST
    assert said(found) == {
        "provider": "fitbit",
        "resource": "sleep",
        "previous_status": "connected",
        "status": "connected",
    }


def test_resource_restored() -> None:
    """It comes back; a word we do not know counts as not available."""
    assert between(connected(sleep="limited"), after=(connected(sleep="available"),)) == [
        "resource_restored fitbit sleep"
    ]


def test_user_gone() -> None:
    """One transition ends everything the user had, and names no connection."""
    found = only(depart(state(connected(), broken("oura")), LATER))
    assert found.kind is Kind.USER_GONE
    assert said(found) == {}


def test_user_returned() -> None:
    """A user that answers again is told first; its connections start from nothing, and are no baseline."""
    found = diff(state(presence=Presence.GONE), snapshot(connected(), broken("oura")), LATER)
    assert [each.kind for each in found] == [Kind.USER_RETURNED, Kind.APPEARED, Kind.ERRORED]
    assert not any(each.baseline for each in found)


def test_a_user_that_is_gone_does_not_go_again() -> None:
    """Nothing more is said of a user that left."""
    assert depart(state(presence=Presence.GONE), LATER) == ()


def test_a_first_snapshot_is_a_baseline() -> None:
    """What a user's first snapshot shows is marked, and has no time before it."""
    found = diff(state(observed_at=None), snapshot(connected(), broken("oura")), LATER)
    assert [each.kind for each in found] == [Kind.APPEARED, Kind.ERRORED]
    assert all(each.baseline and each.previous_observed_at is None for each in found)


def test_every_transition_says_whose_it_is_and_when_it_was_seen() -> None:
    """Target, user and both observations frame each transition."""
    for each in diff(state(connected()), snapshot(broken(), connected("oura")), LATER):
        assert (each.target, each.user_id) == (USER.target, USER.user_id)
        assert (each.previous_observed_at, each.observed_at, each.baseline) == (NOON, LATER, False)


def test_resource_kinds_come_beside_the_status_kind() -> None:
    """Status first, then resources by name, providers by name."""
    before = [connected("oura", a="available"), connected(b="available", a="available", c="unavailable")]
    after = (broken(b="unavailable", a="limited", c="available"), connected("oura", a="unavailable"))
    assert between(*before, after=after) == [
        "errored fitbit",
        "resource_lost fitbit a",
        "resource_lost fitbit b",
        "resource_restored fitbit c",
        "resource_lost oura a",
    ]


def test_one_word_of_absence_for_another_changes_nothing() -> None:
    """From ``unavailable`` to another word that is not ``available`` nothing is lost or restored."""
    assert between(connected(sleep="unavailable"), after=(connected(sleep="limited"),)) == []

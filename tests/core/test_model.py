"""The words of the domain: closed where they are ours, frozen everywhere."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timedelta

import pytest

from monitor.core.model import (
    EARLIEST_VENDOR_TIME,
    LATEST_VENDOR_TIME,
    Kind,
    Outcome,
    Transition,
    plausible_time,
)
from tests.core.samples import broken, connected, errored, paused

# Contract, sections 6 and 4, in its order.
CONTRACT_KINDS = """
appeared errored error_changed recovered reconnected status_changed disappeared resource_lost resource_restored
user_gone user_returned
"""
CONTRACT_OUTCOMES = "unchanged changed gone invalid rejected throttled unavailable timeout malformed"
CONTRACT_KEYS = """
id target user_id provider kind resource previous_status status previous_error_type error_type error_message
errored_at previous_observed_at observed_at baseline
"""


def test_kinds_are_the_contract_s() -> None:
    """Eleven words, in its order."""
    assert list(Kind) == CONTRACT_KINDS.split()


def test_outcomes_are_the_contract_s() -> None:
    """Nine words, in its order."""
    assert list(Outcome) == CONTRACT_OUTCOMES.split()


def test_a_transition_is_its_json_field_for_field() -> None:
    """The public keys, in the contract's order."""
    assert [each.name for each in fields(Transition)] == CONTRACT_KEYS.split()


def test_values_do_not_change() -> None:
    """What was decided stays as it was decided."""
    with pytest.raises(FrozenInstanceError):
        errored().status = "connected"  # type: ignore[misc]  # the point of the test


def test_only_error_is_in_error() -> None:
    """Paused on purpose is no failure."""
    assert [each.in_error for each in (broken(), connected(), paused())] == [True, False, False]


@pytest.mark.parametrize(
    ("time", "is_kept"),
    [
        (None, False),
        (EARLIEST_VENDOR_TIME, True),
        (EARLIEST_VENDOR_TIME - timedelta(microseconds=1), False),
        (LATEST_VENDOR_TIME, True),
        (LATEST_VENDOR_TIME + timedelta(microseconds=1), False),
    ],
)
def test_a_date_of_the_vendor_is_kept_where_it_is_plausible(time: datetime | None, *, is_kept: bool) -> None:
    """From 1970 to 2200, both years included."""
    assert plausible_time(time) == (time if is_kept else None)

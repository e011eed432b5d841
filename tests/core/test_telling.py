from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from monitor.core.telling import Telling, page
from monitor.core.wording import erased_payload


@pytest.mark.parametrize(
    ("error_type", "named"),
    [("token_refresh_failed", "token_refresh_failed"), ("new_one", "unknown"), (None, "unknown")],
)
def test_a_runbook_is_named_by_its_error(error_type: str | None, named: str) -> None:
    """An error type that nobody has heard of has the page of the unknown."""
    told = Telling(user_id=str, runbook_base_url="https://r/x/").told({"provider": "oura", "error_type": error_type})
    assert told["runbook_url"] == f"https://r/x/{named}.md"


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({"provider": "oura", "error_type": "unknown", "users": 7}, "JunctionIncidentOpen"),
        ({"provider": "oura", "error_type": "unknown", "kind": "unstable"}, "unstable"),
        ({"provider": "oura", "error_type": None, "resource": "sleep", "kind": "resource_restored"}, "resource_lost"),
        ({"provider": None, "error_type": None, "kind": "user_returned"}, "user_gone"),
        ({"provider": "oura", "error_type": "user_not_found", "kind": "user_gone"}, "user_not_found"),
    ],
)
def test_other_kinds_have_runbooks_of_their_own(payload: dict[str, object], named: str) -> None:
    """The same page when it fires and when it resolves."""
    assert page(payload) == named


def test_without_runbooks_there_is_no_link() -> None:
    """The key is there all the same."""
    assert Telling(user_id=str, runbook_base_url=None).told({}) == {"runbook_url": None}


def test_a_user_stands_as_the_sink_may_know_it() -> None:
    """What is about no user stays so."""
    telling = Telling(user_id=lambda user_id: f"#{user_id}", runbook_base_url=None)
    assert telling.told({"user_id": "u"})["user_id"] == "#u"
    assert telling.told({"user_id": None})["user_id"] is None


def test_the_end_of_an_erased_user_s_alert_says_nothing_about_the_user() -> None:
    """By which words it fired stays with the sink."""
    fired = {"schema": 1, "alert_id": "a", "user_id": "u", "provider": "oura", "error_message": "secret", "updates": 0}
    ended = erased_payload(UUID(int=1), "acme_us", datetime(2026, 3, 1, tzinfo=UTC), fired)
    told = Telling(user_id=lambda user_id: f"#{user_id}", runbook_base_url="https://r").told(ended)
    assert {name: word for name, word in told.items() if word is not None} == {
        "schema": 1,
        "alert_id": str(UUID(int=1)),
        "state": "resolved",
        "target": "acme_us",
        "observed_at": "2026-03-01T00:00:00Z",
    }
    assert told.keys() == {*fired, "runbook_url", "state", "target", "observed_at"}

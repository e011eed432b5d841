from __future__ import annotations

import pytest

from monitor.core.telling import Telling, page


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

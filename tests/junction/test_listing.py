from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from monitor.junction import listing
from monitor.ports import ListedUser, UserPage

ANN = UUID("11111111-1111-4111-8111-111111111111")
BEN = UUID("22222222-2222-4222-8222-222222222222")


def _page(*users: Any, **rest: Any) -> UserPage | None:
    return listing.read_page(
        json.dumps({"users": users, "total": len(users), "offset": 0, "limit": 500} | rest).encode()
    )


def test_reads_a_page_of_the_user_list() -> None:
    """Of each user the id and the customer's own id are kept."""
    ann = {"user_id": str(ANN), "team_id": "t", "client_user_id": "ann", "connected_sources": [{"provider": {}}]}
    assert _page(ann, {"user_id": BEN.hex}, total=7) == UserPage(
        users=(ListedUser(user_id=ANN, client_user_id="ann"), ListedUser(user_id=BEN, client_user_id=None)), total=7
    )


@pytest.mark.parametrize("bad", [None, 1, "x", [], {}, {"user_id": None}, {"user_id": "7"}, {"client_user_id": "ann"}])
def test_a_user_without_an_id_is_counted_and_the_rest_counts(bad: Any) -> None:
    """One bad row does not cost the page."""
    page = _page(bad, {"user_id": str(ANN), "client_user_id": 5})
    assert page == UserPage(users=(ListedUser(user_id=ANN, client_user_id=None),), total=2, malformed_rows=1)


def test_a_user_listed_twice_is_there_once() -> None:
    """Pages that shift can repeat a user."""
    page = _page({"user_id": str(ANN)}, {"user_id": str(ANN)})
    assert page is not None
    assert len(page.users) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"users": []}',
        b'{"users": {}, "total": 0}',
        b'{"users": [], "total": -1}',
        b'{"users": [], "total": true}',
        b'{"users": [], "total": 1e400}',
        b'{"users": [], "total": "3"}',
        b'{"users": [], "total": 0, "x": "\xff"}',
        b'{"users": [' + b"[" * 100_000 + b"]" * 100_000 + b'], "total": 0}',
    ],
)
def test_what_is_no_page_is_malformed_as_a_whole(body: bytes) -> None:
    """Without a list and a total there is nothing to page through."""
    assert listing.read_page(body) is None


@pytest.mark.parametrize(
    ("body", "errored"),
    [
        (b'{"team_id": "t", "number_of_users": 9, "number_of_errored_connected_sources": 3}', 3),
        (b'{"number_of_errored_connected_sources": 0}', 0),
        (b'{"number_of_errored_connected_sources": null}', None),
        (b'{"number_of_errored_connected_sources": -3}', None),
        (b'{"number_of_errored_connected_sources": 1e300}', None),
        (b"{}", None),
        (b"oops", None),
        (b"[" * 100_000, None),
    ],
)
def test_reads_the_vendors_total_of_errored_connections(body: bytes, errored: int | None) -> None:
    """A count, or None."""
    assert listing.read_errored(body) == errored

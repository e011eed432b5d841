from __future__ import annotations

import json
from datetime import UTC, datetime
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
    ann["created_on"] = "2024-03-01T10:00:00+02:00"
    made = datetime(2024, 3, 1, 8, tzinfo=UTC)
    assert _page(ann, {"user_id": BEN.hex}, total=7) == UserPage(
        users=(
            ListedUser(user_id=ANN, client_user_id="ann", created_on=made),
            ListedUser(user_id=BEN, client_user_id=None),
        ),
        total=7,
    )


@pytest.mark.parametrize("bad", [None, 1, "x", [], {}, {"user_id": None}, {"user_id": "7"}, {"client_user_id": "ann"}])
def test_a_user_without_an_id_is_counted_and_the_rest_counts(bad: Any) -> None:
    """One bad row does not cost the page."""
    page = _page(bad, {"user_id": str(ANN), "client_user_id": 5})
    assert page == UserPage(users=(ListedUser(user_id=ANN, client_user_id=None),), total=2, malformed_rows=1)


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("client_user_id", 5),
        ("client_user_id", "x" * 501),
        ("created_on", "0001-01-01T00:00:00Z"),
        ("created_on", "9999-12-31T23:59:59-01:00"),
        ("created_on", 1700000000),
        ("created_on", "soon"),
    ],
)
def test_a_bad_part_of_a_user_reads_as_missing(key: str, bad: Any) -> None:
    """The user itself counts."""
    assert _page({"user_id": str(ANN), key: bad}, total=1) == _page({"user_id": str(ANN)}, total=1)


@pytest.mark.parametrize(
    ("bad", "name"), [(rb"a\ud83d", "a\ufffd"), (rb"\u0000", "\ufffd"), (b"\xff\xe9", "\ufffd\ufffd")]
)
def test_a_text_that_cannot_be_stored_costs_only_itself(bad: bytes, name: str) -> None:
    """Neither its user nor the page, whether it is read or skipped."""
    users = [{"user_id": str(ANN), "client_user_id": "@", "skipped": "@"}, {"user_id": str(BEN)}]
    page = listing.read_page(json.dumps({"users": users, "total": 2}).encode().replace(b"@", bad))
    assert page is not None
    assert [(each.user_id, each.client_user_id) for each in page.users] == [(ANN, name), (BEN, None)]


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
        (rb'{"team": "\ud83d", "number_of_errored_connected_sources": 3}', 3),
    ],
)
def test_reads_the_vendors_total_of_errored_connections(body: bytes, errored: int | None) -> None:
    """A count, or None."""
    assert listing.read_errored(body) == errored

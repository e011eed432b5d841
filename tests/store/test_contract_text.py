from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from monitor.core.tally import Count
from monitor.ports import ListedUser
from tests.store.contract_stage import ANN, BOB, TARGET, broken, connected

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage

HARMLESS = [
    'it\'s "quoted" \\ % :name ? $1 {x} -- ; DROP TABLE users',
    "\U0001f6b4 \u65e5\u672c\u8a9e e\u0301 \u00e9 \u202e",
    "\t\r\n\x01\x1f\x7f\x85",
    " leading and trailing ",
    "null",
    "x" * 100_000,
]
UNSTORABLE = ["a\x00b", "a\ud800b", "a\udfffb"]
STORED = "a\ufffdb"


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: ascii(text[:8]))
async def test_vendor_text_is_kept_as_sent(stage: Stage, text: str) -> None:
    """In every place where the vendor's words end up."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"))
    row = broken("fitbit", error_type=text, error_message=text, external_user_id=text, resources={text: text})
    verdict = await stage.see(ANN, row, connected(text))
    assert verdict.change is not None
    found = {each.connection.provider: each.connection for each in await stage.connections()}
    assert found == {"fitbit": row, text: connected(text)}
    assert await stage.transitions(since=stage.now) == list(verdict.change.transitions)
    claim = await stage.take(ANN)
    known = await stage.recall(claim)
    assert known.state.connections == found
    await stage.decide()
    assert [each.error_message for each in await stage.open_alerts(ANN)] == [text]


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
async def test_what_no_database_can_hold_is_replaced(stage: Stage, text: str) -> None:
    """One character for one, in every place alike, so that all of them still agree."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"))
    await stage.see(
        ANN, broken("fitbit", error_type=text, error_message=text, external_user_id=text, resources={text: text})
    )
    (found,) = await stage.connections()
    words = found.connection
    assert (words.error_type, words.error_message, words.external_user_id) == (STORED,) * 3
    assert words.resources == {STORED: STORED}
    (fact,) = await stage.transitions(since=stage.now)
    assert (fact.error_type, fact.error_message) == (STORED, STORED)
    await stage.decide()
    (alert,) = await stage.open_alerts(ANN)
    assert (alert.error_type, alert.error_message) == (STORED, STORED)
    labels = {key.c for key in await stage.counts() if key.count is Count.CONNECTIONS}
    assert labels == {STORED}
    assert STORED in json.dumps([dict(each.payload) for each in await stage.notices()], ensure_ascii=False)


async def test_a_name_that_no_database_can_hold_is_replaced_everywhere(stage: Stage) -> None:
    """Current state, facts and counts speak of the same connection."""
    await stage.register(ANN)
    await stage.see(ANN, connected("a\x00b"))
    assert [each.connection.provider for each in await stage.connections()] == [STORED]
    assert [each.provider for each in await stage.transitions()] == [STORED]
    assert {key.a for key in await stage.counts() if key.count is not Count.USERS} == {STORED}


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
async def test_names_and_reasons_are_replaced_alike(stage: Stage, text: str) -> None:
    """They come from outside too."""
    listed = ListedUser(user_id=ANN, client_user_id=text)
    await stage.store.cohort.register(TARGET, [listed], now=stage.now, revive=True)
    await stage.refuse(ANN, text)
    found = await stage.store.cohort.member(TARGET, ANN)
    assert found is not None
    assert (found.client_user_id, found.reason) == (STORED, STORED)


async def test_words_that_differ_only_in_case_or_spaces_are_different(stage: Stage) -> None:
    """No database folds them together."""
    await stage.register(ANN, BOB)
    names = ("fitbit", "Fitbit", "fitbit ", "")
    await stage.see(ANN, *(connected(each) for each in names))
    assert {each.connection.provider for each in await stage.connections()} == set(names)
    assert len(await stage.connections(provider="fitbit")) == 1
    assert len(await stage.connections(provider="")) == 1
    assert len(await stage.connections(status="CONNECTED")) == 0

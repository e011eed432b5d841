"""Transitions as lines."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from monitor.cli.chronicle import Chronicle, told
from monitor.core.model import Kind
from tests.cli.worlds import NOW, USER, transition

if TYPE_CHECKING:
    from tests.cli.conftest import Screen


def test_json_is_the_public_form_with_every_key(capfd: pytest.CaptureFixture[str]) -> None:
    """Keys in the contract's order, null never left out, times with Z."""
    each = transition(resource=None, error_message=None, baseline=True, previous_observed_at=None)
    Chronicle(as_json=True).write_all([each])
    line = capfd.readouterr().out
    assert line == (
        f'{{"id":"{each.id}","target":"acme","user_id":"{USER}","provider":"fitbit","kind":"errored",'
        '"resource":null,"previous_status":"connected","status":"error","previous_error_type":null,'
        '"error_type":"token_refresh_failed","error_message":null,"errored_at":"2026-11-24T03:15:02Z",'
        '"previous_observed_at":null,"observed_at":"2026-11-24T03:15:02Z","baseline":true}\n'
    )
    assert json.loads(line)["id"] == str(each.id)


def test_a_pipe_gets_tabs_and_one_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    """A line break in a vendor's message does not break the line."""
    Chronicle(as_json=False).write_all([transition()])
    assert capfd.readouterr().out == (
        f"2026-11-24 03:15:02Z\tacme\t{USER}\tfitbit\terrored\t\tconnected\terror\ttoken_refresh_failed"
        "\tThe token expired\n"
    )


def test_a_terminal_gets_a_sentence_in_one_line(screen: Screen) -> None:
    """However narrow it is."""
    with redirect_stdout(screen):
        Chronicle(as_json=False).write_all([transition()])
    line = " ".join(screen.shows().split())
    assert line == (
        f"2026-11-24 03:15:02Z acme {USER} fitbit errored connected → error: token_refresh_failed (The token expired)"
    )
    assert len(screen.shows().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": Kind.RESOURCE_LOST, "resource": "sleep"}, "sleep"),
        ({"kind": Kind.USER_GONE, "provider": None, "previous_status": None, "status": None}, ""),
        ({"kind": Kind.DISAPPEARED, "status": None}, "connected → ∅"),
        (
            {"kind": Kind.APPEARED, "previous_status": None, "status": "connected", "baseline": True},
            "∅ → connected  first seen",
        ),
        ({"error_type": None, "error_message": None}, "connected → error: unspecified"),
    ],
)
def test_what_happened_is_told_in_a_few_words(changes: dict[str, object], expected: str) -> None:
    """Each kind has its own."""
    assert told(transition(**changes)) == expected


def test_times_keep_their_fractions_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    """Two observations within a second stay apart."""
    Chronicle(as_json=True).write(transition(observed_at=NOW.replace(microsecond=250)))
    Chronicle(as_json=True).write_all([])
    assert '"observed_at":"2026-11-24T03:15:02.000250Z"' in capfd.readouterr().out

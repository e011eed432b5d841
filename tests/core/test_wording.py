"""What an alert says to a person and to a machine."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.diff import depart, diff
from monitor.core.policy import Policy, Severity
from monitor.core.wording import REMEDIES, clean, payload, remedy, summary, timestamp
from tests.core.desk import Desk
from tests.core.lives import Answer, lived, stories
from tests.core.samples import LATER, NOON, POLICY, USER, broken, connected, errored, paused, snapshot, state
from tests.core.strategies import policies
from tests.core.test_alerting import FLAPPING, Story, flap, standing

if TYPE_CHECKING:
    from monitor.core.alerting import Decision
    from monitor.core.model import Connection

# Contract, section 7, in its order, and two of ours; ``runbook_url`` is added where the line is written.
KEYS = """
schema alert_id state severity target user_id provider kind previous_status status error_type error_message errored_at
observed_at transition_id incident_id summary remedy cause resource updates
"""

# The documented error types, each with the word of its remedy that says who acts and how.
ACTS = {
    "token_refresh_failed": "OAuth",
    "webhook_registration_failed": "support",
    "user_not_found": "link",
    "deregistered_per_provider": "revoked",
    "required_scopes_not_granted": "permission",
    "provider_credential_error": "password",
    "provider_password_expired": "change the password",
    "unknown_status": "documentation",
    "unknown": "dashboard",
}


def firing() -> Decision:
    """Return the decision that raises an alert for a connection that broke."""
    return Desk(POLICY).meet([errored()], LATER)[-1]


def raised(before: Connection | None, after: Connection, policy: Policy = POLICY) -> Decision:
    """Return the decision that raises an alert for a connection that became ``after``."""
    return Desk(policy).meet(diff(state(*[before] if before else []), snapshot(after), LATER), LATER)[-1]


def resolved(after: Connection | None) -> Decision:
    """Return the decision that ends the alert of a broken connection."""
    found = diff(state(broken()), snapshot(*[after] if after else []), LATER)
    return standing(broken()).meet(found, LATER)[0]


def test_a_firing_line_says_everything() -> None:
    """Key for key, in the contract's order."""
    decision = firing()
    assert payload(decision) == {
        "schema": 1,
        "alert_id": str(decision.alert.id),
        "state": "firing",
        "severity": "warning",
        "target": "acme_us",
        "user_id": "a6f3c1de-0b5e-4f3a-9c39-0d1a2b3c4d5e",
        "provider": "fitbit",
        "kind": "errored",
        "previous_status": "connected",
        "status": "error",
        "error_type": "token_refresh_failed",
        "error_message": "The provider refused to refresh the token.",
        "errored_at": "2026-03-01T11:00:00Z",
        "observed_at": "2026-03-01T12:15:00Z",
        "transition_id": str(decision.alert.began_by),
        "incident_id": None,
        "summary": "fitbit connection is in error: token_refresh_failed, after it was connected.",
        "remedy": REMEDIES["token_refresh_failed"],
        "cause": "user",
        "resource": None,
        "updates": 0,
    }
    assert list(payload(decision)) == KEYS.split()


def test_a_resolved_line_keeps_the_error_that_ended() -> None:
    """The same alert id, the status now, and the error the alert was about."""
    found = payload(resolved(connected()))
    assert found["alert_id"] == str(standing(broken()).decisions[0].alert.id)
    assert (found["state"], found["kind"], found["previous_status"], found["status"]) == (
        "resolved",
        "recovered",
        "error",
        "connected",
    )
    assert (found["error_type"], found["errored_at"]) == ("token_refresh_failed", "2026-03-01T11:00:00Z")


def test_a_line_without_a_transition_has_nulls_and_the_time_of_decision() -> None:
    """A person ended it: there is nothing that was observed."""
    found = payload(only_withdrawn())
    assert list(found) == KEYS.split()
    assert [found[key] for key in ("kind", "previous_status", "transition_id")] == [None] * 3
    assert found["observed_at"] == "2026-03-01T12:15:00Z"


def only_withdrawn() -> Decision:
    """Return the decision that ends an alert because its user was removed."""
    return standing(broken()).meet([], LATER, removed=[USER])[0]


@given(policies, stories)
def test_every_line_of_any_life_is_json_with_the_contract_s_keys(
    policy: Policy, story: list[tuple[Answer, timedelta]]
) -> None:
    """Exactly the keys, only JSON types, one line, no user in the summary."""
    for each in lived(policy, story).desk.told:
        found = payload(each)
        assert list(found) == KEYS.split()
        assert json.loads(json.dumps(found)) == found
        assert str(each.alert.user.user_id) not in found["summary"] + found["remedy"]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (connected(), broken(), "fitbit connection is in error: token_refresh_failed, after it was connected."),
        (paused(), broken(error_type=None), "fitbit connection is in error: unspecified, after it was paused."),
        (None, broken(), "fitbit connection is in error: token_refresh_failed, when it was first seen."),
        (broken(error_type="x"), broken(error_type="y"), "fitbit connection is in error: y, after x."),
        (broken(error_type=None), broken(), "fitbit connection is in error: token_refresh_failed, after unspecified."),
    ],
)
def test_the_summary_of_a_firing_alert(before: Connection | None, after: Connection, sentence: str) -> None:
    """One sentence: what is broken, how, and what it was before."""
    assert summary(raised(before, after)) == sentence


@pytest.mark.parametrize(
    ("after", "ending"),
    [
        (connected(), "it is connected again"),
        (None, "it was removed"),
        (paused(), "its status is now paused"),
        (broken(error_type="user_not_found"), "the error is now user_not_found"),
        (broken(error_type=None), "the error is now unspecified"),
    ],
)
def test_the_summary_of_a_resolved_alert(after: Connection | None, ending: str) -> None:
    """One sentence: which error ended, and why."""
    assert summary(resolved(after)) == f"fitbit connection is no longer in error token_refresh_failed: {ending}."


def test_the_summary_when_the_user_went() -> None:
    """Gone with its user, or taken out by a person."""
    gone = standing(broken()).meet(depart(state(broken()), LATER), LATER)[0]
    lead = "fitbit connection is no longer in error token_refresh_failed: "
    assert summary(gone) == f"{lead}its user is gone."
    assert summary(only_withdrawn()) == f"{lead}the user was removed from the cohort."


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=600))
def test_vendor_words_cannot_break_out_of_a_line(slug: str, error_type: str, message: str) -> None:
    """Whatever the vendor sends, no text of the line holds control characters, or more than 500 of its own."""
    row = replace(broken(slug, error_type=error_type), error_message=message)
    found = payload(raised(None, row, replace(POLICY, severities={})))
    texts = [each for each in found.values() if isinstance(each, str)]
    assert not any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for each in texts for letter in each)
    assert all(len(found[key] or "") <= 500 for key in ("provider", "error_type", "error_message"))


def test_the_summaries_of_an_unstable_connection() -> None:
    """What it does, and at the end what it is."""
    story = Story(FLAPPING, connected())
    flap(story, 5)
    assert summary(story.desk.told[-1]) == (
        "fitbit connection is unstable: 5 transitions within 60 min; it is error now."
    )
    story.wait(timedelta(hours=1))
    ended, went_on = story.desk.told[-2:]
    assert summary(ended) == (
        "fitbit connection is no longer unstable: it was quiet for long enough, and is in error token_refresh_failed."
    )
    assert summary(went_on) == "fitbit connection is in error: token_refresh_failed, after it was connected."
    assert [payload(each)["kind"] for each in (ended, went_on)] == ["unstable", "errored"]


def test_the_summary_of_an_error_in_which_an_unstable_connection_rests() -> None:
    """Where the alert began as it healed, there is no word on what was before."""
    story = Story(FLAPPING, broken())
    for row in [connected(), broken()] * 3:
        story.see(row, after=timedelta(minutes=5))
    story.wait(timedelta(hours=1))
    assert summary(story.desk.told[-1]) == (
        "fitbit connection is in error: token_refresh_failed; it came to rest in error."
    )


def test_the_summaries_of_resources_and_users() -> None:
    """What is missing, and that it is back."""
    policy = Policy(resource_lost=Severity.INFO, user_gone=Severity.INFO)
    story = Story(policy, connected(sleep="available"))
    story.see(connected(sleep="unavailable"))
    story.see(connected(sleep="available"))
    gone = depart(state(connected(), observed_at=story.now), story.now)
    story.desk.meet(gone, story.now)
    story.desk.meet([], story.now, removed=[USER])
    assert [summary(each) for each in story.desk.told] == [
        "fitbit connection no longer gives sleep.",
        "fitbit connection gives sleep again, or is not expected to: resource_restored ends it.",
        "Junction no longer knows the user.",
        "The user is no longer gone: the user was removed from the cohort.",
    ]
    assert payload(story.desk.told[0])["resource"] == "sleep"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("", ""),
        (" plain ", "plain"),
        ("two\r\nlines", "two lines"),
        ("\x1b[31mred\x1b[0m\x00", "[31mred [0m"),
        ("a\u2028b\u2029c\x85d\x9be\x7f", "a b c d e"),
        ("user\u202egpj.exe\u2066", "user gpj.exe"),
        ("Füße 😀", "Füße 😀"),
        ("x" * 501, "x" * 500),
    ],
)
def test_vendor_text_is_cleaned(text: str | None, shown: str | None) -> None:
    """Control characters and turns of direction become spaces; 500 characters are kept."""
    assert clean(text) == shown


@pytest.mark.parametrize(("error_type", "word"), ACTS.items())
def test_each_documented_error_has_a_remedy(error_type: str, word: str) -> None:
    """It says who acts, and how."""
    assert word in remedy(error_type)
    assert remedy(error_type) == REMEDIES[error_type]


def test_there_is_a_remedy_for_every_documented_error_and_no_other() -> None:
    """Each is its own sentence or two."""
    assert set(REMEDIES) == set(ACTS)
    assert len(set(REMEDIES.values())) == len(REMEDIES)
    assert all(each.endswith(".") and each[0].isupper() for each in REMEDIES.values())


@pytest.mark.parametrize("error_type", [None, "", "brand_new", "unspecified"])
def test_an_unknown_error_has_the_remedy_of_the_unknown(error_type: str | None) -> None:
    """There is always something to do."""
    assert remedy(error_type) == REMEDIES["unknown"]


def test_times_are_rfc_3339_with_z() -> None:
    """With fractions where there are any, null for null."""
    assert timestamp(datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)) == "2026-03-01T12:00:00.250000Z"
    assert timestamp(NOON) == "2026-03-01T12:00:00Z"
    assert timestamp(None) is None

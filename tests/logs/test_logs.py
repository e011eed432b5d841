from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from monitor import logs
from monitor.core.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Iterator

ALERT = {
    "schema": 1,
    "alert_id": "a",
    "state": "firing",
    "severity": "critical",
    "user_id": "u",
    "provider": "fitbit",
    "error_type": "token_refresh_failed",
    "summary": "s",
}

PLAIN = Telling(user_id=str, runbook_base_url=None)


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Give a stream for lines, and leave the libraries' logging as it was."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def only(out: io.StringIO) -> dict[str, Any]:
    """Return the one line that was written."""
    (line,) = out.getvalue().splitlines()
    event: dict[str, Any] = json.loads(line)
    return event


def fail(text: str) -> None:
    """Be a bug that quotes what it should not."""
    raise ValueError(text)


def test_a_line_begins_with_time_level_and_event(out: io.StringIO) -> None:
    """The order is the contract's, the time RFC 3339 with Z."""
    logs.configure("info", "json", out).info("target.recovered", target="acme")
    assert list(only(out)) == ["timestamp", "level", "event", "target"]
    assert only(out)["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "told",
    [
        {"api_key": "whatever"},
        {"detail": "key pk_us_SECRETsecret was refused"},
        {"nested": {"authorization": "SECRETsecret"}},
        {"listed": ["sk_eu_SECRETsecret"]},
        {"reason": "postgresql://monitor:SECRETsecret@db/monitor does not answer"},
    ],
)
def test_no_secret_is_ever_written(out: io.StringIO, told: dict[str, Any]) -> None:
    """By its name or by its look."""
    logs.configure("info", "json", out).info("target.rejected", **told)
    assert "SECRETsecret" not in out.getvalue()
    assert "whatever" not in out.getvalue()


def test_no_secret_is_in_a_traceback(out: io.StringIO) -> None:
    """Not even where a bug quotes it; and the traceback is not cut."""
    logger = logs.configure("info", "json", out)
    try:
        fail("pk_us_SECRETsecret " + "x" * 1500)
    except ValueError:
        logger.exception("poll.crashed")
    assert "SECRETsecret" not in out.getvalue()
    assert len(only(out)["exception"]) > 500


def test_vendor_text_is_stripped_and_cut(out: io.StringIO) -> None:
    """Control characters cannot forge a line, and 500 characters are enough."""
    logs.configure("info", "json", out).info("user.invalid", reason="a\x1b[31m\nb\u2028" + "c" * 900)
    assert len(only(out)["reason"]) == 500
    assert only(out)["reason"].startswith("a [31m b")


def test_odd_values_are_written_all_the_same(out: io.StringIO) -> None:
    """What JSON has no word for becomes text."""
    logs.configure("info", "json", out).info("job.crashed", odd=object(), lone="\ud800")
    assert only(out)["event"] == "job.crashed"


def test_less_important_events_are_left_out(out: io.StringIO) -> None:
    """The level is a bound."""
    logs.configure("error", "json", out).info("monitor.started")
    assert out.getvalue() == ""


def test_an_alert_is_written_whatever_the_level(out: io.StringIO) -> None:
    """Nobody loses an alert by asking for less noise."""
    logs.configure("error", "json", out)
    logs.AlertLog("json", telling=PLAIN, stream=out).write("connection.alert", {**ALERT, "severity": "info"})
    assert only(out)["level"] == "info"


def test_the_level_of_an_alert_is_its_severity(out: io.StringIO) -> None:
    """Critical is an error."""
    logs.AlertLog("json", telling=PLAIN, stream=out).write("connection.alert", ALERT)
    assert (only(out)["event"], only(out)["level"]) == ("connection.alert", "error")


def test_an_end_without_a_severity_is_only_information(out: io.StringIO) -> None:
    """That of an erased user's alert has none."""
    logs.AlertLog("json", telling=PLAIN, stream=out).write("connection.alert", {**ALERT, "severity": None})
    assert only(out)["level"] == "info"


def test_an_alert_names_its_runbook_and_hides_its_user(out: io.StringIO) -> None:
    """Both as configured."""
    telling = Telling(user_id=lambda _: "hashed", runbook_base_url="https://r/x/")
    logs.AlertLog("json", telling=telling, stream=out).write("connection.alert", ALERT)
    assert only(out)["user_id"] == "hashed"
    assert only(out)["runbook_url"] == "https://r/x/token_refresh_failed.md"


def test_an_incident_is_a_line_of_its_own_event(out: io.StringIO) -> None:
    """It is about no user, and its level too is its severity."""
    incident = {name: value for name, value in ALERT.items() if name != "user_id"} | {"users": 12, "share": 0.4}
    logs.AlertLog("json", telling=PLAIN, stream=out).write("incident.alert", incident)
    line = only(out)
    assert (line["event"], line["level"], line["users"], line["share"]) == ("incident.alert", "error", 12, 0.4)
    assert "user_id" not in line


def test_an_alert_that_cannot_be_written_is_an_error(out: io.StringIO) -> None:
    """Its notice must stay in the outbox; an ordinary line is simply lost."""
    logger = logs.configure("info", "json", out)
    out.close()
    logger.info("monitor.started")
    with pytest.raises(OSError, match="cannot be written"):
        logs.AlertLog("json", telling=PLAIN, stream=out).write("connection.alert", ALERT)


def test_the_libraries_warnings_run_into_our_lines(out: io.StringIO) -> None:
    """What APScheduler or asyncio complain about is a line like any other."""
    logs.configure("info", "json", out)
    logging.getLogger("apscheduler.scheduler").warning("late by %d", 3)
    assert (only(out)["event"], only(out)["message"]) == ("library.apscheduler", "late by 3")


def test_people_get_lines_they_can_read(out: io.StringIO) -> None:
    """The console format is no JSON."""
    logs.configure("info", "console", out).info("monitor.started", targets=["acme"])
    assert "monitor.started" in out.getvalue()
    assert not out.getvalue().startswith("{")

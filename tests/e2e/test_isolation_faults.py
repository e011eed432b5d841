"""Faults of one user, of many users and of the vendor's data, against the real daemon and a simulated Junction.

What one user's answer is, or what an answer contains, changes nothing for anybody else, and no absence is believed that
many users have at once (contract, section 5).
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from monitor.core.model import Kind
from tests.e2e.processes import BLIND, Stand, alert_lines, await_all_told, findings, port_of, process, stand
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.e2e.processes import Findings

pytestmark = pytest.mark.timeout(240)

SECONDS: Final = 10.0
"""How long the pace is measured, and how long a burst lasts; the interval is one second."""
FULL_PACE: Final = 0.5
"""Of the polls that are due in this time: a loaded machine is late by some. Without isolation it was 0.15 at most."""
CONFIRMED_AFTER: Final = BLIND.total_seconds()
"""A second answer confirms an absence after a minute: a burst that is longer is held back by its size alone."""
WITHIN: Final = 45.0
"""More than the 30 s after which a rejected target is asked again."""


def world(users: int) -> dict[str, Any]:
    """Return a scenario of so many users in which nothing happens and every connection is healthy."""
    return {"users": users, "seed": 5, "initial": {"error": 0, "paused": 0}}


@contextmanager
def watched(cwd: Path, database: str, users: int) -> Iterator[Stand]:
    """Run a daemon on a quiet world of so many users; it must drain and exit 0."""
    with stand(cwd, database, world(users)) as stage, running(stage):
        yield stage


@contextmanager
def running(stage: Stand) -> Iterator[None]:
    """Run a daemon that must drain and exit 0."""
    with stage.daemon() as daemon:
        started(stage.cwd / "daemon.log")
        yield
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0


@contextmanager
def beside_another_target(stage: Stand, name: str, users: int) -> Iterator[Stand]:
    """Add a target with a simulator and users of its own, and four slots for both; yield what belongs to it."""
    place = stage.cwd / name
    place.mkdir()
    (place / "scenario.yaml").write_text(json.dumps(world(users)))
    arguments = ("simulate", "--port", "0", "--scenario", "scenario.yaml", "--seed", "6")
    with process(*arguments, cwd=place, environ={"PATH": stage.environ["PATH"]}, log=place / "simulator.log"):
        url = f"http://127.0.0.1:{port_of(place / 'simulator.log')}"
        key = f"MONITOR_TARGETS__{name.upper()}__"
        environ = {**stage.environ, f"{key}API_KEY": "sk_us_simulated", f"{key}BASE_URL": url}
        environ |= {f"{key}MAX_REQUESTS_PER_SECOND": "10000", "MONITOR_POLL__CONCURRENCY": "4"}
        other = Stand(cwd=stage.cwd, database=stage.database, simulator=url, environ=environ)
        other.run("cohort", "sync", "--target", name)
        other.run("poll", "--target", name)
        yield other


def lines(stage: Stand, *events: str) -> list[dict[str, Any]]:
    """Return the daemon's log lines with these events, of targets if none is named."""
    found = [json.loads(line) for line in (stage.cwd / "daemon.log").read_text().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] in events or (not events and line["event"].startswith("target."))]


def crashes(stage: Stand) -> list[dict[str, Any]]:
    """Return the log lines that no fault of a vendor may cause."""
    return lines(stage, "poll.crashed", "job.crashed", "task.ended", "evaluation.set_aside", "database.lost")


def polls(stage: Stand) -> Counter[str]:
    """Return how often each user was polled."""
    answer = httpx.get(f"{stage.simulator}/_simulator/stats", params={"users": 1}, trust_env=False)
    return Counter(answer.json()["polls_by_user"])


def pace(stage: Stand, seconds: float = SECONDS) -> dict[str, float]:
    """Return the polls a second of each user, measured over some time."""
    before = polls(stage)
    time.sleep(seconds)
    after = polls(stage)
    return {user_id: (after[user_id] - before[user_id]) / seconds for user_id in after}


def truth(stage: Stand) -> dict[str, Any]:
    """Return the users of the simulated world in the order of their numbers, as they are now."""
    found: dict[str, Any] = httpx.get(f"{stage.simulator}/_simulator/truth", trust_env=False).json()
    return found


def break_one(stage: Stand, user: int) -> tuple[str, str]:
    """Break the first connection of the user with this number; return whose it is."""
    user_id, found = list(truth(stage).items())[user]
    provider = next(iter(found["connections"]))
    stage.control("change", do="break", user=user, provider=provider, error_type="token_refresh_failed")
    return user_id, provider


def firing(stage: Stand) -> set[tuple[str, str]]:
    """Return whose alerts fired, according to the log."""
    return {(line["user_id"], line["provider"]) for line in alerts(stage) if line["state"] == "firing"}


def alerts(stage: Stand) -> list[dict[str, Any]]:
    """Return the log lines of alerts on connections."""
    return [line for line in alert_lines(stage.cwd / "daemon.log") if line["event"] == "connection.alert"]


def until(found: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    give_up = time.monotonic() + WITHIN
    while not found():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


def all_states(found: Findings) -> set[Kind]:
    """Return the kinds of all transitions but the first ones."""
    return {transition.kind for transition in found.news}


def assert_others_keep_pace(stage: Stand, hostile: Sequence[int], seconds: float = SECONDS) -> dict[str, float]:
    """Assert that everybody but the users with these numbers is polled once a second; return the pace of all."""
    measured = pace(stage, seconds)
    numbers = {user_id: number for number, user_id in enumerate(truth(stage))}
    slow = {numbers[user]: rate for user, rate in measured.items() if rate < FULL_PACE and numbers[user] not in hostile}
    assert slow == {}
    return measured


@pytest.mark.parametrize("status", [401, 403])
def test_a_user_that_is_always_refused_costs_nobody_else_a_poll(tmp_path: Path, sqlite_url: str, status: int) -> None:
    """The nine others are polled at full pace, and the log calls nothing rejected."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="status", status=status, users=[0])
        assert_others_keep_pace(stage, hostile=[0])
        assert lines(stage) == []


def test_a_key_that_may_not_list_users_is_not_rejected_for_one_user(tmp_path: Path, sqlite_url: str) -> None:
    """The question about the target is refused too, each time that it is asked, but other users are answered."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="status", status=403, endpoint="list")
        stage.control("fault", fault="status", status=403, users=[0])
        assert_others_keep_pace(stage, hostile=[0], seconds=3 * SECONDS)
        assert lines(stage) == []


def test_a_user_that_is_always_throttled_costs_nobody_else_a_poll(tmp_path: Path, sqlite_url: str) -> None:
    """Its own ``Retry-After`` is honoured, and the rate of the target stays as it is."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="status", status=503, retry_after=30, users=[0])
        measured = assert_others_keep_pace(stage, hostile=[0])
        first = next(iter(truth(stage)))
        assert measured[first] * SECONDS <= 1
        assert lines(stage) == []


def test_empty_answers_for_everybody_end_no_connection_and_no_alert(tmp_path: Path, sqlite_url: str) -> None:
    """Five alerts go on firing; the target is implausible, and recovers by itself."""
    with watched(tmp_path, sqlite_url, users=30) as stage:
        broken = {break_one(stage, user) for user in range(5)}
        until(lambda: firing(stage) == broken, "five alerts")
        stage.control("fault", fault="empty_list", **{"for": SECONDS})
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        assert_others_keep_pace(stage, hostile=[])
        assert [line["event"] for line in lines(stage)] == ["target.implausible", "target.recovered"]
        assert {line["state"] for line in alerts(stage)} == {"firing"}
        found = findings(stage)
        found.assert_exact()
        assert all_states(found) == {Kind.ERRORED}


@pytest.mark.parametrize(("status", "event"), [(404, "target.rejected"), (422, "target.implausible")])
def test_a_burst_for_a_small_cohort_gives_nobody_up(tmp_path: Path, sqlite_url: str, status: int, event: str) -> None:
    """All nine users get 404, or 422; afterwards all are active and polled at full pace."""
    with watched(tmp_path, sqlite_url, users=9) as stage:
        stage.control("fault", fault="status", status=status, endpoint="poll", **{"for": SECONDS})
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        assert_others_keep_pace(stage, hostile=[])
        assert [line["event"] for line in lines(stage)] == [event, "target.recovered"]
        assert lines(stage, "user.invalid") == []
        assert findings(stage).news == []


def test_absences_of_many_users_are_not_believed_after_a_minute_either(tmp_path: Path, sqlite_url: str) -> None:
    """A third of the users gets 404, a third 422, a third empty answers, for longer than a confirmation takes."""
    with watched(tmp_path, sqlite_url, users=30) as stage:
        lasts = {"for": CONFIRMED_AFTER + SECONDS}
        stage.control("fault", fault="status", status=404, users=list(range(10)), **lasts)
        stage.control("fault", fault="status", status=422, users=list(range(10, 20)), **lasts)
        stage.control("fault", fault="empty_list", users=list(range(20, 30)), **lasts)
        time.sleep(CONFIRMED_AFTER + SECONDS + 2)
        assert_others_keep_pace(stage, hostile=[])
        assert lines(stage, "user.invalid") == []
        assert findings(stage).news == []
        assert crashes(stage) == []


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_of_the_api_is_called_one(tmp_path: Path, sqlite_url: str, status: int) -> None:
    """The log says that Junction answers but does not work, and when that is over; nobody is lost meanwhile."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="status", status=status, **{"for": 2 * SECONDS})
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        assert_others_keep_pace(stage, hostile=[])
        told = [(line["event"], line["cause"]) for line in lines(stage, "target.unreachable")]
        assert told == [("target.unreachable", "junction")]
        assert [line["reason"] for line in lines(stage, "target.recovered")] == ["unreachable"]
        assert findings(stage).news == []


def test_a_target_that_hangs_starves_no_other(tmp_path: Path, sqlite_url: str) -> None:
    """Its requests wait for the time-out and take all slots but those of the target beside it."""
    with (
        stand(tmp_path, sqlite_url, world(10)) as stage,
        beside_another_target(stage, "hanging", users=30) as other,
        running(other),
    ):
        other.control("fault", fault="timeout")
        assert_others_keep_pace(stage, hostile=[], seconds=2 * SECONDS)
        assert {line["target"] for line in lines(stage)} == {"hanging"}
        assert [line["event"] for line in lines(stage)] == ["target.unreachable"]
        other.control("fault", do="clear")
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        assert_others_keep_pace(other, hostile=[])


def test_a_revoked_key_is_told_once_and_ends_by_itself(tmp_path: Path, sqlite_url: str) -> None:
    """All users and the question are refused: that is the target, and nothing is asked at full pace."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="revoked")
        until(lambda: lines(stage, "target.rejected") != [], "the rejection")
        assert sum(pace(stage).values()) < 1
        stage.control("fault", do="clear")
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        assert_others_keep_pace(stage, hostile=[])
        assert [line["event"] for line in lines(stage)] == ["target.rejected", "target.recovered"]


def test_an_unknown_status_resolves_no_alert(tmp_path: Path, sqlite_url: str) -> None:
    """The alert goes on until the connection is connected; the word is logged once."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        user_id, provider = break_one(stage, 0)
        until(lambda: firing(stage) == {(user_id, provider)}, "an alert")
        for user in (0, 1):
            slug = next(iter(list(truth(stage).values())[user]["connections"]))
            stage.control("change", do="set_status", user=user, provider=slug, status="reauthorizing")
        until(lambda: len(lines(stage, "vocabulary.unknown")) == 1, "the unknown word in the log")
        assert_others_keep_pace(stage, hostile=[])
        assert {line["state"] for line in alerts(stage)} == {"firing"}
        stage.control("change", do="unpause", user=0, provider=provider)
        until(lambda: "resolved" in {line["state"] for line in alerts(stage)}, "the end of the alert")
        assert len(lines(stage, "vocabulary.unknown")) == 1
        await_all_told(stage.database)
        findings(stage).assert_exact()


def test_an_unknown_status_of_a_healthy_connection_starts_an_alert(tmp_path: Path, sqlite_url: str) -> None:
    """It is of the kind ``unknown_status``, and ends when the connection is connected."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        user_id, found = next(iter(truth(stage).items()))
        provider = next(iter(found["connections"]))
        stage.control("change", do="set_status", user=0, provider=provider, status="reauthorizing")
        until(lambda: firing(stage) == {(user_id, provider)}, "an alert")
        stage.control("change", do="unpause", user=0, provider=provider)
        until(lambda: len(alerts(stage)) > 1, "the end of the alert")
        assert [(line["kind"], line["state"]) for line in alerts(stage)] == [
            ("unknown_status", "firing"),
            ("unknown_status", "resolved"),
        ]


def test_an_error_with_a_new_time_in_each_answer_is_one_alert(tmp_path: Path, sqlite_url: str) -> None:
    """It fires once, neither resolves nor counts as unstable, and is not notified again."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        broken = break_one(stage, 0)
        until(lambda: firing(stage) == {broken}, "an alert")
        stage.control("fault", fault="restamp", users=[0])
        assert_others_keep_pace(stage, hostile=[])
        assert [(line["kind"], line["state"]) for line in alerts(stage)] == [("errored", "firing")]


def test_odd_dates_and_texts_are_lost_alone(tmp_path: Path, sqlite_url: str) -> None:
    """Everybody is polled, and the errors of users with odd and with good answers are notified."""
    with watched(tmp_path, sqlite_url, users=10) as stage:
        stage.control("fault", fault="odd_dates", users=[0, 1])
        stage.control("fault", fault="odd_texts", users=[2, 3])
        broken = {break_one(stage, user) for user in (0, 2, 4)}
        until(lambda: firing(stage) == broken, f"the alerts of {broken}")
        assert_others_keep_pace(stage, hostile=[])
        assert lines(stage) == crashes(stage) == []


def test_users_that_lack_a_shut_down_provider_keep_their_connections(tmp_path: Path, sqlite_url: str) -> None:
    """Only its absences wait, the target stays up, and the log names the provider."""
    with watched(tmp_path, sqlite_url, users=30) as stage:
        slugs = Counter(slug for user in truth(stage).values() for slug in user["connections"])
        provider = max(slugs, key=lambda slug: slugs[slug])
        broken = break_one(stage, 0)
        stage.control("fault", fault="missing_provider", provider=provider, **{"for": SECONDS})
        until(lambda: lines(stage, "target.recovered") != [], "the end of it")
        until(lambda: broken in firing(stage), "the alert of another connection")
        assert [(line["event"], line["provider"]) for line in lines(stage)] == [
            ("target.implausible", provider),
            ("target.recovered", provider),
        ]
        assert all_states(findings(stage)) == {Kind.ERRORED}

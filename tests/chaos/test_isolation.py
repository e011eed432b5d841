"""One user's answers never affect another user: a cohort lives twice, once beside somebody hostile."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from monitor.poller import poller
from monitor.store import open_store
from tests.chaos.isolation_harness import Process, Story
from tests.chaos.scale import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.postgres import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(600, 14_400))]

LASTS: Final = timedelta(minutes=8)
WELL: Final = [UUID(int=1000 + number) for number in range(12)]
HOSTILE: Final = UUID(int=1)
HEALTHY_TARGET, HOSTILE_TARGET = "healthy", "hostile"
Answer = tuple[int, dict[str, str], bytes] | str
"""A status, headers and a body, or how it fails without an answer."""


def rows(*providers: Mapping[str, Any]) -> bytes:
    """Return the body of an answer."""
    return json.dumps({"providers": list(providers)}).encode()


def row(slug: str, status: str = "connected", **more: Any) -> dict[str, Any]:
    """Return one connection as Junction sends it."""
    fixed = {"name": slug, "slug": slug, "logo": "", "created_on": "2026-01-01T00:00:00+00:00"}
    return fixed | {"status": status, "resource_availability": {}} | more


def error(at: str = "2026-02-28T23:00:00+00:00", kind: str = "token_refresh_failed") -> dict[str, Any]:
    """Return one connection in error."""
    details = {"error_type": kind, "error_message": "no luck", "errored_at": at}
    return row("fitbit", "error", error_details=details)


def well(_: str, user: UUID, second: int) -> httpx.Response:
    """Answer for a user of the healthy cohort, each with troubles of its own at its own time."""
    number = user.int - 1000
    breaks, mends = 60 + 20 * number, 240 + 20 * number
    if number == 0 and second >= breaks:
        return httpx.Response(404, json={"detail": "no such user"})
    if number == 1 and second >= breaks:
        return httpx.Response(200, content=rows(row("oura")))
    if number % 3 == 2 and breaks <= second < mends:
        return httpx.Response(200, content=rows(error(), row("oura")))
    return httpx.Response(200, content=rows(row("fitbit"), row("oura")))


TEXTS: Final = st.sampled_from(["\ud83d", "\x00", "\u202e", "x" * 5000, "", " ", "Ж", "\U0001f600", "error", "paused"])
DATES: Final = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", "1969-12-31T23:59:59-12:00", "never", 7]
)
words = TEXTS | st.text(max_size=20)
odd = words | DATES | st.none() | st.booleans() | st.integers() | st.lists(st.integers(), max_size=2)
details = st.fixed_dictionaries({}, optional={"error_type": odd, "error_message": odd, "errored_at": odd})
odd_rows = st.fixed_dictionaries(
    {},
    optional={
        "slug": st.sampled_from(["fitbit", "oura"]) | odd,
        "status": st.sampled_from(["connected", "error", "paused", "reauthorizing"]) | odd,
        "created_on": odd,
        "error_details": details | odd,
        "resource_availability": st.dictionaries(words, st.fixed_dictionaries({"status": odd}), max_size=3) | odd,
        "external_user_id": odd,
    },
)
bodies = (
    st.lists(odd_rows, max_size=4).map(lambda found: json.dumps({"providers": found}).encode("utf-8", "replace"))
    | st.binary(max_size=50)
    | st.sampled_from([b"{}", b"[]", b"null", b'{"providers": []}', b"{" * 10_000, b"x" * 200_000])
    | odd.map(lambda found: json.dumps(found).encode())
)
statuses = st.sampled_from([200, 200, 200, 401, 403, 404, 422, 429, 503, 500, 502, 301, 204]) | st.integers(200, 599)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "content-type", "location", "x-odd"]),
    st.sampled_from(["0", "30", "900", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "text/html", "-1"]),
    max_size=2,
)
answers: st.SearchStrategy[Answer] = st.tuples(statuses, headers, bodies) | st.sampled_from(["timeout", "connect"])
stories = st.lists(answers, min_size=1, max_size=8)
ALWAYS_REFUSED: Final[list[Answer]] = [(403, {}, b"")]
ALWAYS_THROTTLED: Final[list[Answer]] = [(503, {"retry-after": "30"}, b"")]
POISON: Final[list[Answer]] = [
    (200, {}, rows(error("0001-01-01T00:00:00Z"), row("oura", created_on="9999-12-31T23:59:59-12:00"))),
    (200, {}, rows(error("0001-01-01T00:00:00Z", "\ud83d half"))),
]


def sends(answer: Answer) -> httpx.Response:
    """Return, or raise, what an answer is."""
    if answer == "timeout":
        raise httpx.ReadTimeout("too slow")
    if isinstance(answer, str):
        raise httpx.ConnectError("refused")
    status, found, body = answer
    return httpx.Response(status, headers=found, content=body)


def lives(short: int, long: int) -> settings:
    """Return how many stories are tried; how fast a story is, is its own affair."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    phases = (Phase.explicit, Phase.generate) if scaled(1, 0) else tuple(Phase)
    return settings(max_examples=scaled(short, long), deadline=None, suppress_health_check=checks, phases=phases)


@pytest.fixture(autouse=True)
def _commits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for company: time is simulated."""
    monkeypatch.setattr(poller, "COMMIT_EVERY", 0.001)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, migrated_sqlite_file: Path, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """Give what makes an empty database of each kind, as often as it is called."""
    numbers = count()
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / f'{next(numbers)}.db')}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("postgres_template")
    with ExitStack() as databases:

        def new() -> str:
            databases.close()
            return databases.enter_context(server.database(template=template))

        yield new


def live(url: str, users: Mapping[str, Sequence[UUID]], script: Callable[[str, UUID, int], httpx.Response]) -> Story:
    """Let a cohort live through the story on one database."""

    async def lived() -> Story:
        store = open_store(url)
        try:
            return await Process(store, list(users), script).live(users, LASTS)
        finally:
            await store.aclose()

    return asyncio.run(lived())


def assert_alike(alone: Story, beside: Story, target: str = HEALTHY_TARGET) -> None:
    """Assert that the healthy users were polled, stored, evaluated and notified the same."""
    assert beside.of(target, WELL) == alone.of(target, WELL)
    for user in WELL:
        polls = alone.polls[target, user]
        assert abs(beside.polls[target, user] - polls) <= 0.05 * polls
    for event in ("job.crashed", "target.rejected", "target.unreachable", "target.implausible", "target.throttled"):
        assert event not in alone.events


def hostile_script(hostile: Mapping[UUID, list[Answer]]) -> Callable[[str, UUID, int], httpx.Response]:
    """Return a script by which some users answer one hostile thing after the other."""
    asked = dict.fromkeys(hostile, 0)

    def script(target: str, user: UUID, second: int) -> httpx.Response:
        if user not in hostile:
            return well(target, user, second)
        story, number = hostile[user], asked[user]
        asked[user] += 1
        return sends(story[number % len(story)])

    return script


def test_the_healthy_cohort_has_a_life(new_database: Callable[[], str]) -> None:
    """There is something to compare: errors, recoveries, a lost connection, a deleted user, alerts that end."""
    story = live(new_database(), {HEALTHY_TARGET: WELL}, well)
    kinds = {fact["kind"].value for facts in story.transitions.values() for fact in facts}
    assert kinds == {"appeared", "errored", "recovered", "disappeared", "user_gone"}
    states = [payload["state"] for payloads in story.sent.values() for payload in payloads]
    assert states.count("firing") == states.count("resolved") == 4
    assert not {"job.crashed", "poll.crashed"} & set(story.events)


def test_a_hostile_user_affects_nobody_else(new_database: Callable[[], str]) -> None:
    """Whatever one user is answered, and however often: all others live as if it did not exist."""
    alone = live(new_database(), {HEALTHY_TARGET: WELL}, well)

    @lives(25, 1000)
    @given(stories)
    @example(ALWAYS_REFUSED)
    @example(ALWAYS_THROTTLED)
    @example(POISON)
    def prove(story: list[Answer]) -> None:
        users = {HEALTHY_TARGET: [*WELL, HOSTILE]}
        beside = live(new_database(), users, hostile_script({HOSTILE: story}))
        assert_alike(alone, beside)
        verdicts = {"target.rejected", "target.unreachable", "target.implausible", "target.throttled"}
        assert not verdicts & set(beside.events)

    prove()


def test_a_hostile_twentieth_affects_nobody_else(new_database: Callable[[], str]) -> None:
    """The same with one hostile user in twenty, in a cohort large enough for it."""
    quiet = [UUID(int=2000 + number) for number in range(26)]
    hostile = [UUID(int=1), UUID(int=2)]

    def everybody(target: str, user: UUID, second: int) -> httpx.Response:
        fine = rows(row("fitbit"))
        return httpx.Response(200, content=fine) if user in quiet else well(target, user, second)

    alone = live(new_database(), {HEALTHY_TARGET: [*WELL, *quiet]}, everybody)

    @lives(6, 300)
    @given(st.tuples(stories, stories))
    @example((ALWAYS_REFUSED, ALWAYS_THROTTLED))
    @example((POISON, POISON))
    def prove(story: tuple[list[Answer], list[Answer]]) -> None:
        script = hostile_script(dict(zip(hostile, story, strict=True)))

        def asked(target: str, user: UUID, second: int) -> httpx.Response:
            return script(target, user, second) if user in hostile else everybody(target, user, second)

        beside = live(new_database(), {HEALTHY_TARGET: [*WELL, *quiet, *hostile]}, asked)
        assert_alike(alone, beside)

    prove()


def test_a_hostile_target_affects_no_other(new_database: Callable[[], str]) -> None:
    """All users of one target answer hostile things; the users of the other one do not notice."""
    alone = live(new_database(), {HEALTHY_TARGET: WELL}, well)
    others = [UUID(int=3000 + number) for number in range(10)]

    @lives(6, 300)
    @given(stories)
    @example(ALWAYS_REFUSED)
    @example(ALWAYS_THROTTLED)
    @example([(200, {}, b'{"providers": []}')])
    @example(["timeout"])
    def prove(story: list[Answer]) -> None:
        script = hostile_script(dict.fromkeys(others, story))
        beside = live(new_database(), {HOSTILE_TARGET: others, HEALTHY_TARGET: WELL}, script)
        assert_alike(alone, beside)

    prove()

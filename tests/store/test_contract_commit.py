from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.model import Connection, Kind, Outcome, Presence
from tests.store.contract_stage import ANN, BOB, LEASE, START, TARGET, broken, connected, judged

if TYPE_CHECKING:
    from monitor.ports import Member
    from tests.store.contract_stage import Stage

A_TIME = START - timedelta(days=3, microseconds=1)


async def member(stage: Stage) -> Member:
    """Return the one member that these tests are about."""
    found = await stage.store.cohort.member(TARGET, ANN)
    assert found is not None
    return found


KINDS = [
    (None, connected(), [Kind.APPEARED]),
    (None, broken(), [Kind.ERRORED]),
    (connected(), broken(errored_at=A_TIME), [Kind.ERRORED]),
    (broken(), broken(error_type="user_not_found"), [Kind.ERROR_CHANGED]),
    (broken(errored_at=A_TIME), broken(errored_at=START), [Kind.ERROR_CHANGED]),
    (broken(), connected(), [Kind.RECOVERED]),
    (connected(created_on=A_TIME), connected(created_on=START), [Kind.RECONNECTED]),
    (connected(), Connection(provider="fitbit", status="paused"), [Kind.STATUS_CHANGED]),
    (connected(), None, [Kind.DISAPPEARED]),
    (connected(resources={"sleep": "available"}), connected(resources={"sleep": "scope"}), [Kind.RESOURCE_LOST]),
    (connected(resources={"sleep": "scope"}), connected(resources={"sleep": "available"}), [Kind.RESOURCE_RESTORED]),
    (
        connected(resources={"body": "available", "sleep": "available"}),
        broken(resources={"body": "x", "sleep": "x"}),
        [Kind.ERRORED, Kind.RESOURCE_LOST, Kind.RESOURCE_LOST],
    ),
]


@pytest.mark.parametrize(("before", "after", "kinds"), KINDS)
async def test_a_committed_difference_is_stored_as_it_was_judged(
    stage: Stage, before: Connection | None, after: Connection | None, kinds: list[Kind]
) -> None:
    """Every kind of transition comes back word for word, in the order of the diff."""
    await stage.register(ANN)
    await stage.see(ANN, *([before] if before else []))
    verdict = await stage.see(ANN, *([after] if after else []))
    assert verdict.change is not None
    assert await stage.transitions(since=stage.now) == list(verdict.change.transitions)
    assert [each.kind for each in verdict.change.transitions] == kinds
    assert [each.connection for each in await stage.connections()] == ([after] if after else [])


async def test_what_is_committed_is_what_the_next_poll_remembers(stage: Stage) -> None:
    """State and ages come back as they were stored."""
    await stage.register(ANN)
    await stage.see(ANN, connected("oura"))
    rows = (
        broken("fitbit", error_message="no", errored_at=A_TIME, resources={"sleep": "available", "body": "scope"}),
        connected("oura", created_on=A_TIME, external_user_id="abc"),
    )
    await stage.see(ANN, *rows)
    known = await stage.recall(await stage.take(ANN))
    assert known.state.connections == {each.provider: each for each in rows}
    assert known.state.since == {"fitbit": stage.now, "oura": stage.now - timedelta(minutes=1)}
    assert (known.state.observed_at, known.state.presence) == (stage.now, Presence.PRESENT)


async def test_the_known_of_a_fresh_user_is_empty(stage: Stage) -> None:
    """Before the first poll there is nothing to compare with."""
    await stage.register(ANN)
    known = await stage.recall(await stage.take(ANN))
    assert (known.state.connections, known.state.since) == ({}, {})
    assert known.state.observed_at is None


async def test_a_first_snapshot_without_connections_is_a_good_one(stage: Stage) -> None:
    """To have seen nothing is not the same as not to have seen."""
    await stage.register(ANN)
    await stage.see(ANN)
    assert (await member(stage)).observed_at == stage.now
    past = await stage.store.views.snapshot_at(TARGET, ANN, stage.now)
    assert past is not None
    assert past.connections == ()


async def test_an_unchanged_answer_moves_only_the_times(stage: Stage) -> None:
    """The user was seen now, and is due at its place in the interval."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    counts, transitions = await stage.counts(), await stage.transitions()
    verdict = await stage.see_the_same(ANN)
    found = await member(stage)
    assert (found.observed_at, found.next_poll_at) == (stage.now, verdict.next_poll_at)
    assert (await stage.connections())[0].observed_at == stage.now
    assert (await stage.counts(), await stage.transitions()) == (counts, transitions)


async def test_an_answer_read_anew_that_says_the_same_changes_nothing(stage: Stage) -> None:
    """Other bytes, same words."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    verdict = await stage.see(ANN, connected())
    assert verdict.change is None
    assert await stage.kinds() == [Kind.APPEARED]
    assert (await member(stage)).observed_at == stage.now


@pytest.mark.parametrize(
    "outcome", [Outcome.REJECTED, Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.TIMEOUT, Outcome.MALFORMED]
)
async def test_a_poll_that_observed_nothing_changes_no_state(stage: Stage, outcome: Outcome) -> None:
    """Only failures and the due time move."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    seen_at, connections, counts = stage.now, await stage.connections(), await stage.counts()
    verdict = await stage.fail(ANN, outcome)
    found = await member(stage)
    assert (found.observed_at, found.failures, found.next_poll_at) == (seen_at, 1, verdict.next_poll_at)
    assert await stage.connections() == connections
    assert await stage.counts() == counts


async def test_a_good_poll_forgets_failures_and_the_first_404(stage: Stage) -> None:
    """Back-off starts anew, and so does the count to the second 404."""
    await stage.register(ANN)
    await stage.miss(ANN)
    await stage.fail(ANN, Outcome.TIMEOUT)
    await stage.see(ANN)
    claim = await stage.take(ANN)
    assert (claim.failures, claim.missing_since) == (0, None)


async def test_a_first_404_changes_no_connection(stage: Stage) -> None:
    """It takes a second one to be believed."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    before = await stage.connections()
    verdict = await stage.miss(ANN)
    assert verdict.change is None
    assert await stage.connections() == before
    assert (await member(stage)).presence is Presence.PRESENT


async def test_a_confirmed_404_ends_every_connection(stage: Stage) -> None:
    """One transition says so; when the user was last seen stays known."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    seen_at = stage.now
    await stage.go(ANN)
    assert await stage.kinds() == [Kind.APPEARED, Kind.APPEARED, Kind.USER_GONE]
    assert await stage.connections() == []
    found = await member(stage)
    assert (found.presence, found.observed_at) == (Presence.GONE, seen_at)


async def test_a_404_of_a_gone_user_says_nothing_new(stage: Stage) -> None:
    """It goes once."""
    await stage.register(ANN)
    await stage.go(ANN)
    await stage.miss(ANN)
    assert await stage.kinds() == [Kind.USER_GONE]
    assert (await member(stage)).presence is Presence.GONE


async def test_a_failed_poll_of_a_gone_user_leaves_it_gone(stage: Stage) -> None:
    """Nothing observed changes no state."""
    await stage.register(ANN)
    await stage.go(ANN)
    await stage.fail(ANN, Outcome.UNAVAILABLE)
    assert (await member(stage)).presence is Presence.GONE


async def test_a_user_that_answers_again_has_returned(stage: Stage) -> None:
    """Its connections appear anew, after the return."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.go(ANN)
    await stage.see(ANN, connected())
    assert await stage.kinds() == [Kind.APPEARED, Kind.USER_GONE, Kind.USER_RETURNED, Kind.APPEARED]
    assert (await member(stage)).presence is Presence.PRESENT
    assert len(await stage.connections()) == 1


async def test_an_invalid_user_keeps_the_reason_and_its_connections(stage: Stage) -> None:
    """A 422 says that the registration is bad, not that connections ended."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.refuse(ANN, "not a UUID of this team")
    found = await member(stage)
    assert (found.presence, found.reason) == (Presence.INVALID, "not a UUID of this team")
    assert len(await stage.connections()) == 1
    assert await stage.kinds() == [Kind.APPEARED]


async def test_an_incomplete_answer_ends_no_connection(stage: Stage) -> None:
    """Of rows that could not be read nothing is concluded, and the answer is read again next time."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    await stage.see(ANN, broken("oura"), complete=False)
    assert {each.connection.provider for each in await stage.connections()} == {"fitbit", "oura"}
    assert (await stage.take(ANN)).digest is None


async def test_what_is_no_transition_is_stored_all_the_same(stage: Stage) -> None:
    """Words that no kind speaks of are part of the current state."""
    await stage.register(ANN)
    await stage.see(ANN, broken(error_message="first"))
    await stage.see(ANN, broken(error_message="second"))
    assert [each.connection.error_message for each in await stage.connections()] == ["second"]
    assert await stage.kinds() == [Kind.ERRORED]


async def test_users_of_one_commit_do_not_mix(stage: Stage) -> None:
    """Each has its own connections, facts and times."""
    await stage.register(ANN, BOB)
    claims = await stage.store.polls.claim_users(TARGET, [ANN, BOB], now=stage.now, lease=LEASE)
    known = await stage.store.polls.known(claims)
    answers = {ANN: connected("fitbit"), BOB: broken("oura")}
    verdicts = [judged(each, known[each.key], answers[each.user.user_id], now=stage.now) for each in claims]
    await stage.store.polls.commit(verdicts, now=stage.now)
    seen = {each.user_id: each.connection for each in await stage.connections()}
    assert seen == answers
    assert await stage.kinds(user_id=ANN) == [Kind.APPEARED]
    assert await stage.kinds(user_id=BOB) == [Kind.ERRORED]

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import Intent, Outcome, Presence
from monitor.core.tally import Count, Key
from monitor.ports import ListedUser, Member, Registered
from tests.store.contract_stage import ANN, BOB, CID, DAN, LEASE, OTHER_TARGET, START, TARGET, connected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from tests.store.contract_stage import Stage


async def decide(stage: Stage, users: Sequence[UUID] | None, intent: Intent) -> frozenset[UUID]:
    """Let a person decide about users."""
    return await stage.store.cohort.set_intent(TARGET, users, intent, now=stage.now)


async def member(stage: Stage, user: UUID) -> Member:
    """Return a member that is there."""
    found = await stage.store.cohort.member(TARGET, user)
    assert found is not None
    return found


async def states(stage: Stage) -> dict[str, int]:
    """Return how many users are in each state."""
    return {key.a: amount for key, amount in (await stage.counts()).items() if key.count is Count.USERS}


async def test_a_new_member_is_due_at_once(stage: Stage) -> None:
    """Nothing is known of it but who it is."""
    await stage.store.cohort.register(
        TARGET, [ListedUser(user_id=ANN, client_user_id="ann-1")], now=stage.now, revive=True
    )
    assert await member(stage, ANN) == Member(
        target=TARGET,
        user_id=ANN,
        client_user_id="ann-1",
        intent=Intent.ACTIVE,
        presence=Presence.PRESENT,
        reason=None,
        registered_at=START,
        observed_at=None,
        next_poll_at=START,
        failures=0,
    )


async def test_a_registration_tells_new_members_from_known_ones(stage: Stage) -> None:
    """Registering again changes nothing."""
    assert await stage.register(ANN, BOB) == Registered(added=2, returned=0, known=0)
    before = await member(stage, ANN)
    stage.later(minutes=1)
    assert await stage.register(ANN, CID) == Registered(added=1, returned=0, known=1)
    assert await member(stage, ANN) == before


async def test_a_registration_of_nobody_is_no_error(stage: Stage) -> None:
    """An empty file imports nobody."""
    assert await stage.register() == Registered(added=0, returned=0, known=0)


async def test_a_user_named_twice_in_one_registration_is_one_member(stage: Stage) -> None:
    """Files repeat themselves."""
    came = await stage.register(ANN, ANN)
    assert (came.added, came.returned) == (1, 0)
    assert await states(stage) == {"active": 1}


async def test_a_name_that_is_given_replaces_the_old_one(stage: Stage) -> None:
    """A list without names takes none away."""
    for name in ("first", "second", None):
        listed = ListedUser(user_id=ANN, client_user_id=name)
        await stage.store.cohort.register(TARGET, [listed], now=stage.now, revive=False)
    assert (await member(stage, ANN)).client_user_id == "second"


async def test_a_removed_user_comes_back_when_a_person_asks(stage: Stage) -> None:
    """It is due at once, and counted again with the connections that it had."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    before = await stage.counts()
    await decide(stage, [ANN], Intent.REMOVED)
    assert await stage.register(ANN) == Registered(added=0, returned=1, known=0)
    assert await stage.counts() == before
    assert await stage.claim() == [ANN]


async def test_a_removed_user_stays_removed_when_it_is_merely_listed(stage: Stage) -> None:
    """Discovery never undoes what a person decided."""
    await stage.register(ANN)
    await decide(stage, [ANN], Intent.REMOVED)
    assert await stage.register(ANN, revive=False) == Registered(added=0, returned=0, known=1)
    assert (await member(stage, ANN)).intent is Intent.REMOVED


async def test_a_paused_user_stays_paused_when_it_is_registered_again(stage: Stage) -> None:
    """Registering says who is watched, not how."""
    await stage.register(ANN)
    await decide(stage, [ANN], Intent.PAUSED)
    assert await stage.register(ANN) == Registered(added=0, returned=0, known=1)
    assert (await member(stage, ANN)).intent is Intent.PAUSED


async def test_pausing_keeps_all_that_is_known(stage: Stage) -> None:
    """The user moves to another state in the counts; its connections stay."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected())
    assert await decide(stage, [ANN], Intent.PAUSED) == {ANN}
    assert await states(stage) == {"active": 1, "paused": 1}
    assert [each.user_id for each in await stage.connections()] == [ANN]


async def test_resuming_makes_a_user_due_at_once(stage: Stage) -> None:
    """Whenever it would have been due by its place in the interval."""
    await stage.register(ANN)
    await stage.see(ANN)
    await decide(stage, [ANN], Intent.PAUSED)
    stage.later(seconds=1)
    assert await decide(stage, [ANN], Intent.ACTIVE) == {ANN}
    assert (await member(stage, ANN)).next_poll_at == stage.now
    assert await states(stage) == {"active": 1}


async def test_resuming_clears_what_the_vendor_called_invalid(stage: Stage) -> None:
    """A person who resumes a user says that the id is right."""
    await stage.register(ANN)
    await stage.refuse(ANN)
    await decide(stage, [ANN], Intent.ACTIVE)
    found = await member(stage, ANN)
    assert (found.presence, found.reason) == (Presence.PRESENT, None)
    assert await stage.claim() == [ANN]


async def test_resuming_does_not_make_a_gone_user_present(stage: Stage) -> None:
    """Only an answer can do that."""
    await stage.register(ANN)
    await stage.go(ANN)
    await decide(stage, [ANN], Intent.PAUSED)
    await decide(stage, [ANN], Intent.ACTIVE)
    assert (await member(stage, ANN)).presence is Presence.GONE
    assert await states(stage) == {"gone": 1}


async def test_deciding_ends_the_lease(stage: Stage) -> None:
    """A resumed user can be taken at once, whoever had it in hand."""
    await stage.register(ANN)
    await stage.take(ANN)
    await decide(stage, [ANN], Intent.ACTIVE)
    assert await stage.claim() == [ANN]


async def test_removing_takes_a_user_out_of_the_counts_and_keeps_its_history(stage: Stage) -> None:
    """What was found stays found."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    assert await decide(stage, [ANN], Intent.REMOVED) == {ANN}
    assert {key.count for key in await stage.counts()} == {Count.TRANSITIONS}
    assert await stage.connections() == []
    assert len(await stage.transitions(user_id=ANN)) == 1
    assert await stage.store.views.snapshot_at(TARGET, ANN, stage.now) is not None


async def test_removing_a_removed_user_is_no_error(stage: Stage) -> None:
    """It concerns the user, and counts nothing twice."""
    await stage.register(ANN)
    await decide(stage, [ANN], Intent.REMOVED)
    assert await decide(stage, [ANN], Intent.REMOVED) == {ANN}
    assert await states(stage) == {}


async def test_removed_and_unknown_users_cannot_be_paused_or_resumed(stage: Stage) -> None:
    """The answer tells who was concerned, so that the rest can be named to the person who asked."""
    await stage.register(ANN, BOB)
    await decide(stage, [BOB], Intent.REMOVED)
    assert await decide(stage, [ANN, BOB, CID], Intent.PAUSED) == {ANN}
    assert await decide(stage, [ANN, BOB, CID], Intent.ACTIVE) == {ANN}
    assert (await member(stage, BOB)).intent is Intent.REMOVED


async def test_a_decision_without_names_is_about_everybody_of_the_target(stage: Stage) -> None:
    """And about nobody of another one."""
    await stage.register(ANN, BOB)
    await stage.register(CID, target=OTHER_TARGET)
    assert await decide(stage, None, Intent.PAUSED) == {ANN, BOB}
    other = await stage.store.cohort.member(OTHER_TARGET, CID)
    assert other is not None
    assert other.intent is Intent.ACTIVE


async def test_a_decision_about_no_names_is_about_nobody(stage: Stage) -> None:
    """An empty list is not everybody."""
    await stage.register(ANN)
    assert await decide(stage, [], Intent.REMOVED) == frozenset()
    assert await states(stage) == {"active": 1}


async def test_members_come_in_the_order_of_target_and_user_id(stage: Stage) -> None:
    """Removed ones are left out unless they are asked for."""
    await stage.register(CID, ANN, DAN)
    await stage.register(BOB, target=OTHER_TARGET)
    await decide(stage, [DAN], Intent.REMOVED)
    cohort = stage.store.cohort
    assert [each.user_id async for each in cohort.members(None)] == [BOB, ANN, CID]
    assert [each.user_id async for each in cohort.members(TARGET)] == [ANN, CID]
    assert [each.user_id async for each in cohort.members(TARGET, include_removed=True)] == [ANN, CID, DAN]


async def test_a_member_that_was_never_registered_is_not_there(stage: Stage) -> None:
    """Also where another target has it."""
    await stage.register(ANN, target=OTHER_TARGET)
    assert await stage.store.cohort.member(TARGET, ANN) is None


async def test_a_member_shows_failures_of_its_last_polls(stage: Stage) -> None:
    """A person can see that a user is in trouble."""
    await stage.register(ANN)
    verdict = await stage.fail(ANN, Outcome.TIMEOUT)
    found = await member(stage, ANN)
    assert (found.failures, found.next_poll_at, found.observed_at) == (1, verdict.next_poll_at, None)


async def test_users_move_between_states_and_zeros_stay(stage: Stage) -> None:
    """A state that fell to nothing is still exported."""
    await stage.register(ANN)
    await decide(stage, [ANN], Intent.PAUSED)
    counts = await stage.store.views.counts()
    assert counts[Key(TARGET, Count.USERS, "active")] == 0
    assert counts[Key(TARGET, Count.USERS, "paused")] == 1


async def test_a_claimed_user_that_is_registered_again_stays_in_hand(stage: Stage) -> None:
    """Discovery goes on while users are polled."""
    await stage.register(ANN)
    verdict = await stage.seen(ANN, connected())
    await stage.register(ANN, revive=False)
    assert await stage.store.polls.claim_users(TARGET, [ANN], now=stage.now, lease=LEASE) == []
    await stage.commit(verdict)

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from monitor.simulator import Change, Do, ImpossibleChangeError, Kind, World
from monitor.simulator.words import ERROR_TYPES

if TYPE_CHECKING:
    from monitor.simulator.people import Connection
    from tests.simulator.conftest import Clock


def find(world: World, status: str = "connected", slug: str | None = None) -> tuple[str, str]:
    """Return a user and provider with this status."""
    for index in range(world.users.size):
        user = world.users.at(index)
        for name, row in user.connections.items():
            if row.status == status and slug in {None, name}:
                return user.user_id, name
    raise AssertionError(status)


def row(world: World, user_id: str, slug: str) -> Connection:
    """Return a row as it is now."""
    user = world.users.find(user_id)
    assert user is not None
    return user.connections[slug]


def one(changes: tuple[Change, ...]) -> Change:
    """Return the only change."""
    (change,) = changes
    return change


@pytest.mark.parametrize("error_type", [*ERROR_TYPES, "made_up_tomorrow"])
def test_a_connection_breaks_with_every_error_type(world: World, error_type: str) -> None:
    """Any word can be the error, and the vendor has a sentence for it."""
    user_id, slug = find(world)
    change = one(world.change(Do.BREAK, user_id, slug, error_type=error_type))
    now = row(world, user_id, slug)
    assert (change.kind, change.previous_status, change.status) == (Kind.ERRORED, "connected", "error")
    assert (change.error_type, change.errored_at) == (error_type, now.failure.errored_at if now.failure else None)
    assert now.failure is not None
    assert now.provider.name in now.failure.message


def test_an_error_type_left_open_is_a_likely_one(world: World) -> None:
    """A password provider breaks as password providers do."""
    user_id, _ = find(world)
    world.change(Do.COME_BACK, user_id, "kardia")
    change = one(world.change(Do.BREAK, user_id, "kardia"))
    assert change.error_type in {"provider_credential_error", "provider_password_expired", "user_not_found", "unknown"}


def test_given_shares_of_error_types_replace_the_likely_ones(clock: Clock) -> None:
    """A scenario decides which errors there are."""
    world = World(users=20, error_types={"unknown": 1.0}, clock=clock)
    assert one(world.change(Do.BREAK, *find(world))).error_type == "unknown"


def test_an_error_may_come_without_details(world: World) -> None:
    """The row is in error and says nothing more."""
    user_id, slug = find(world)
    change = one(world.change(Do.BREAK, user_id, slug, details=False))
    assert (change.kind, change.error_type, change.errored_at) == (Kind.ERRORED, None, None)
    assert row(world, user_id, slug).failure is None


def test_healing_is_a_new_link(world: World) -> None:
    """A recovered row is connected, without an error, and has a new creation time."""
    user_id, slug = find(world, "error")
    before = row(world, user_id, slug)
    change = one(world.change(Do.HEAL, user_id, slug))
    after = row(world, user_id, slug)
    assert (change.kind, change.status, after.failure) == (Kind.RECOVERED, "connected", None)
    assert after.created_on > before.created_on


def test_relinking_twice_within_one_tick_shows(world: World) -> None:
    """Each re-link has a later creation time, also where the clock stands still and the row drops fractions."""
    user_id, slug = find(world)
    seen = [row(world, user_id, slug).created_on]
    for _ in range(3):
        assert one(world.change(Do.RELINK, user_id, slug)).kind is Kind.RECONNECTED
        seen.append(row(world, user_id, slug).created_on)
    assert seen == sorted(set(seen))


def test_times_come_from_the_clock(world: World, clock: Clock) -> None:
    """Nothing that the world writes comes from anywhere else."""
    clock.tick(100)
    change = one(world.change(Do.BREAK, *find(world)))
    assert change.at == clock.now
    assert change.errored_at is not None
    assert change.errored_at.replace(microsecond=0) == clock.now.replace(microsecond=0)


def test_pausing_and_unpausing_change_the_status(world: World) -> None:
    """Both are plain changes of status and leave the creation time alone."""
    user_id, slug = find(world)
    created = row(world, user_id, slug).created_on
    paused = one(world.change(Do.PAUSE, user_id, slug))
    assert (paused.kind, paused.status) == (Kind.STATUS_CHANGED, "paused")
    unpaused = one(world.change(Do.UNPAUSE, user_id, slug))
    assert (unpaused.kind, unpaused.status) == (Kind.STATUS_CHANGED, "connected")
    assert row(world, user_id, slug).created_on == created


def test_a_row_vanishes_and_comes_back(world: World) -> None:
    """A row that comes back is new."""
    user_id, slug = find(world)
    gone = one(world.change(Do.VANISH, user_id, slug))
    assert (gone.kind, gone.previous_status, gone.status) == (Kind.DISAPPEARED, "connected", None)
    back = one(world.change(Do.COME_BACK, user_id, slug))
    assert (back.kind, back.previous_status, back.status) == (Kind.APPEARED, None, "connected")


def test_a_row_may_come_back_in_error(world: World) -> None:
    """Then an observer sees it break."""
    user_id, slug = find(world)
    world.change(Do.VANISH, user_id, slug)
    assert one(world.change(Do.COME_BACK, user_id, slug, error_type="unknown")).kind is Kind.ERRORED


def test_a_withdrawn_scope_takes_every_resource_that_needs_it(world: World) -> None:
    """One denied scope makes one change for each resource, and granting it brings all of them back."""
    user_id, _ = find(world)
    world.change(Do.COME_BACK, user_id, "polar")
    lost = world.change(Do.LOSE_RESOURCE, user_id, "polar", resource="sleep")
    assert {(each.kind, each.resource) for each in lost} == {
        (Kind.RESOURCE_LOST, name) for name in ("activity", "sleep", "workouts")
    }
    assert {each.status for each in lost} == {"connected"}
    restored = world.change(Do.REGAIN_RESOURCE, user_id, "polar")
    assert {(each.kind, each.resource) for each in restored} == {
        (Kind.RESOURCE_RESTORED, name) for name in ("activity", "sleep", "workouts")
    }


def test_an_error_changes_into_another(world: World, clock: Clock) -> None:
    """Type and time are new, the old ones stand beside them."""
    user_id, slug = find(world)
    first = one(world.change(Do.BREAK, user_id, slug, error_type="unknown"))
    clock.tick()
    second = one(world.change(Do.CHANGE_ERROR, user_id, slug, error_type="user_not_found"))
    assert second.kind is Kind.ERROR_CHANGED
    assert (second.previous_error_type, second.error_type) == ("unknown", "user_not_found")
    assert (second.previous_errored_at, second.status) == (first.errored_at, "error")


def test_a_changed_error_always_has_a_later_time(world: World) -> None:
    """The same type again shows by its time, even if the clock stands still."""
    user_id, slug = find(world)
    first = one(world.change(Do.BREAK, user_id, slug, error_type="unknown")).errored_at
    second = one(world.change(Do.CHANGE_ERROR, user_id, slug, error_type="unknown")).errored_at
    assert first is not None
    assert second is not None
    assert second > first


def test_an_unknown_status_ends_an_error_and_can_be_any_word(world: World) -> None:
    """The vendor may invent a status tomorrow; the error's details go with the error."""
    user_id, slug = find(world, "error")
    change = one(world.change(Do.SET_STATUS, user_id, slug, status="reauthorizing"))
    assert (change.kind, change.previous_status, change.status) == (Kind.STATUS_CHANGED, "error", "reauthorizing")
    assert (change.error_type, row(world, user_id, slug).failure) == (None, None)


def test_the_same_status_again_is_no_change(world: World) -> None:
    """Nothing is written that nobody could see; another word is a change."""
    user_id, slug = find(world)
    world.change(Do.SET_STATUS, user_id, slug, status="reauthorizing")
    with pytest.raises(ImpossibleChangeError, match="is reauthorizing already"):
        world.change(Do.SET_STATUS, user_id, slug, status="reauthorizing")
    assert one(world.change(Do.SET_STATUS, user_id, slug, status="expiring")).previous_status == "reauthorizing"


def test_a_deleted_user_returns_without_connections(world: World) -> None:
    """A deletion takes the rows; undoing it brings the user back, and links must be made anew."""
    user_id, slug = find(world)
    assert world.delete_user(user_id).kind is Kind.USER_GONE
    assert world.users.present == 49
    assert world.restore_user(user_id).kind is Kind.USER_RETURNED
    user = world.users.find(user_id)
    assert user is not None
    assert not user.connections
    assert one(world.change(Do.COME_BACK, user_id, slug)).kind is Kind.APPEARED


def test_a_new_user_has_fresh_connections(world: World, clock: Clock) -> None:
    """A user that registers later links at once and is healthy."""
    change = world.new_user()
    user = world.users.find(change.user_id)
    assert user is not None
    assert (change.kind, user.index, world.users.size) == (Kind.USER_CREATED, 50, 51)
    assert {each.status for each in user.connections.values()} == {"connected"}
    assert user.created_on == clock.now


@pytest.mark.parametrize("do", [Do.HEAL, Do.UNPAUSE, Do.CHANGE_ERROR, Do.NEW_USER])
def test_a_change_that_makes_no_sense_is_refused(world: World, do: Do) -> None:
    """The world and the ledger stay as they were."""
    user_id, slug = find(world)
    with pytest.raises(ImpossibleChangeError, match=f"{do} is impossible"):
        world.change(do, user_id, slug)
    assert len(world.ledger) == 0


def test_changes_of_what_is_not_there_are_refused(world: World) -> None:
    """Neither strangers, nor deleted users, nor missing rows, nor unknown providers can change."""
    user_id, slug = find(world)
    with pytest.raises(ImpossibleChangeError):
        world.change(Do.BREAK, uuid4(), slug)
    with pytest.raises(ImpossibleChangeError):
        world.change(Do.BREAK, user_id, "nobody_has_this")
    with pytest.raises(ImpossibleChangeError):
        world.change(Do.COME_BACK, user_id, "nobody_has_this")
    with pytest.raises(ImpossibleChangeError):
        world.change(Do.LOSE_RESOURCE, user_id, slug, resource="no_such_resource")
    with pytest.raises(ImpossibleChangeError):
        world.restore_user(user_id)
    world.delete_user(user_id)
    with pytest.raises(ImpossibleChangeError):
        world.delete_user(user_id)
    assert [each.kind for each in world.ledger] == [Kind.USER_GONE]


def test_a_resource_that_is_lost_already_cannot_be_lost(world: World) -> None:
    """Nothing is written for a change that nobody could see."""
    user_id, _ = find(world)
    world.change(Do.COME_BACK, user_id, "strava")
    world.change(Do.LOSE_RESOURCE, user_id, "strava", resource="profile")
    with pytest.raises(ImpossibleChangeError, match="changes nothing"):
        world.change(Do.LOSE_RESOURCE, user_id, "strava", resource="profile")

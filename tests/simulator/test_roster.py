from __future__ import annotations

import pytest

from monitor.simulator import Do, World
from tests.simulator.test_world import find


@pytest.mark.parametrize("counted_first", [True, False])
def test_counts_follow_every_change(world: World, counted_first: bool) -> None:
    """Totals are the same whether they were counted before or after the changes."""
    if counted_first:
        world.users.counts()
    world.change(Do.BREAK, *find(world))
    world.change(Do.HEAL, *find(world, "error"))
    world.change(Do.VANISH, *find(world))
    world.delete_user(world.users.id_at(7))
    world.new_user()
    users = [world.users.at(index) for index in range(world.users.size)]
    assert world.users.counts() == (sum(len(user.connections) for user in users), sum(user.errored for user in users))


def test_pages_leave_deleted_users_out(world: World) -> None:
    """The list runs from the newest to the oldest and has no holes."""
    for index in (0, 10, 11, 49):
        world.delete_user(world.users.id_at(index))
    listed = [user.index for offset in range(0, 60, 7) for user in world.users.page(offset, 7)]
    assert listed == [index for index in reversed(range(50)) if index not in {0, 10, 11, 49}]


def test_the_ledger_counts_without_gaps(world: World) -> None:
    """Sequences run from 1, and a reader can go on where it stopped."""
    for _ in range(3):
        world.change(Do.RELINK, *find(world))
    assert [each.sequence for each in world.ledger.after(1)] == [2, 3]
    assert [each.sequence for each in world.ledger.after(0, 2)] == [1, 2]
    with pytest.raises(ValueError, match="cannot follow"):
        world.ledger.write(next(iter(world.ledger)))

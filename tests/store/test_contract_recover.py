from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.store.contract_stage import ANN, BOB, LEASE

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage


@pytest.fixture
def shared(store_kind: str) -> bool:
    """Tell whether other processes may have users of this store in hand."""
    return store_kind in {"postgresql", "pgbouncer"}


async def test_where_a_process_is_alone_it_ends_the_leases_of_the_one_before(stage: Stage, shared: bool) -> None:
    """What a killed process had in hand is polled again at once; where others live, when the lease expires."""
    await stage.register(ANN, BOB)
    await stage.see(BOB)
    killed = await stage.take(ANN)
    assert await stage.store.polls.recover() == (0 if shared else 1)
    assert await stage.claim() == ([] if shared else [ANN])
    stage.now += 2 * LEASE
    if shared:
        assert (await stage.take(ANN)).due_at == killed.due_at


async def test_where_nothing_was_left_behind_nothing_is_recovered(stage: Stage) -> None:
    """A clean end leaves no lease."""
    await stage.register(ANN)
    await stage.see(ANN)
    assert await stage.store.polls.recover() == 0

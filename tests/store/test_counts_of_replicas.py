"""Counts that several replicas move at once, while words come and go and rows are pruned."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.ports import ListedUser
from monitor.store import open_store, vocabulary
from tests.store.contract_recount import agrees
from tests.store.contract_stage import LEASE, START, TARGET, connected, judged

if TYPE_CHECKING:
    import pytest

REPLICAS = 3
ROUNDS = 25


async def test_counts_are_exact_whatever_replicas_do_at_once(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No deadlock, and none is subtracted where it was not added, although there is room for few words."""
    monkeypatch.setattr(vocabulary, "MOST_ROWS", 8)
    stores = [open_store(migrated_postgres_url) for _ in range(REPLICAS)]
    users = [UUID(int=number) for number in range(1, 2 * REPLICAS + 1)]
    listed = [ListedUser(user_id=each, client_user_id=None) for each in users]
    await stores[0].cohort.register(TARGET, listed, now=START, revive=True)

    async def live(number: int) -> None:
        """Poll users of its own, who have ever other words, and prune now and then."""
        polls, chosen = stores[number].polls, random.Random(number)  # noqa: S311 - not for secrets
        mine, now = users[2 * number : 2 * number + 2], START
        for _ in range(ROUNDS):
            now += timedelta(minutes=1)
            claims = await polls.claim_users(TARGET, mine, now=now, lease=LEASE)
            known = await polls.known(claims)
            verdicts = [
                judged(claim, known[claim.key], *map(connected, words(chosen)), now=now, complete=True)
                for claim in claims
            ]
            assert len(await polls.commit(verdicts, now=now)) == len(mine)
            if chosen.random() < 0.3:
                await stores[number].upkeep.prune_counts()

    await asyncio.gather(*(live(number) for number in range(REPLICAS)))
    await agrees(stores[0])
    for store in stores:
        await store.aclose()


def words(chosen: random.Random) -> list[str]:
    """Return some of a few providers; often none, so that counts fall to zero."""
    return chosen.sample([f"p{number}" for number in range(15)], chosen.choice([0, 0, 1, 5, 15]))

"""What a store keeps of a target's user list."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from tests.store import contract_kept as kept
from tests.store.contract_stage import ANN, BOB, CID, OTHER_TARGET, TARGET, connected

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage


async def test_a_user_that_answers_404_and_is_not_listed_is_noted(stage: Stage) -> None:
    """With the time at which the reading of the list began; a list that names it again takes that back."""
    await stage.register(ANN, BOB, CID)
    await stage.miss(ANN)
    await stage.miss(BOB)
    started_at = stage.now
    await stage.store.cohort.note_list(TARGET, frozenset([BOB, CID]), started_at)
    assert await kept.unlisted(stage.store) == {ANN: started_at}
    later = stage.later(hours=1)
    await stage.store.cohort.note_list(TARGET, frozenset([ANN, CID]), later)
    assert await kept.unlisted(stage.store) == {BOB: later}


async def test_a_user_that_does_not_answer_404_is_not_noted(stage: Stage) -> None:
    """Its polls say how it is."""
    await stage.register(ANN, BOB)
    await stage.see(ANN, connected())
    await stage.store.cohort.note_list(TARGET, frozenset([BOB]), stage.now)
    assert await kept.unlisted(stage.store) == {}


async def test_a_list_that_names_nobody_of_the_cohort_says_nothing(stage: Stage) -> None:
    """It is empty, or another team's."""
    await stage.register(ANN, BOB)
    await stage.miss(ANN)
    for listed in (frozenset[UUID](), frozenset([CID])):
        await stage.store.cohort.note_list(TARGET, listed, stage.now)
    await stage.store.cohort.note_list("unknown", frozenset([BOB]), stage.now)
    assert await kept.unlisted(stage.store) == {}


async def test_the_list_of_one_target_says_nothing_of_another(stage: Stage) -> None:
    """The same id may be a user of both."""
    await stage.register(ANN, BOB)
    await stage.register(ANN, BOB, target=OTHER_TARGET)
    await stage.miss(ANN)
    await stage.store.cohort.note_list(OTHER_TARGET, frozenset([BOB]), stage.now)
    assert await kept.unlisted(stage.store) == {}


async def test_the_time_of_the_first_discovery_stays(stage: Stage) -> None:
    """Also where the first list was empty."""
    first = stage.now
    await stage.store.cohort.note_discovery(TARGET, first)
    await stage.store.cohort.note_discovery(TARGET, first + timedelta(days=1))
    assert await kept.discovered_at(stage.store, TARGET) == first

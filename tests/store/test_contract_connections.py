from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.core.model import Connection, Intent
from monitor.ports import ConnectionView
from tests.store.contract_stage import ANN, BOB, CID, OTHER_TARGET, TARGET, broken, connected

if TYPE_CHECKING:
    from tests.store.contract_stage import Stage

A_MINUTE = timedelta(minutes=1)


async def only(stage: Stage) -> ConnectionView:
    """Return the one connection that there is."""
    (found,) = await stage.connections()
    return found


async def test_a_new_connection_is_as_old_as_its_first_sight(stage: Stage) -> None:
    """It came into its status, was first seen and last seen at the same time."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    assert await only(stage) == ConnectionView(
        target=TARGET,
        user_id=ANN,
        connection=connected(),
        since=stage.now,
        first_seen_at=stage.now,
        observed_at=stage.now,
    )


async def test_a_status_that_lasts_keeps_its_age(stage: Stage) -> None:
    """Another error type or message is still the same status."""
    await stage.register(ANN)
    await stage.see(ANN, broken())
    since = stage.now
    await stage.see(ANN, broken(error_type="user_not_found", error_message="other"))
    assert (await only(stage)).since == since
    assert (await only(stage)).observed_at == since + A_MINUTE


async def test_a_change_of_status_starts_its_age_anew(stage: Stage) -> None:
    """When it was first seen stays."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    first = stage.now
    await stage.see(ANN, broken())
    found = await only(stage)
    assert (found.since, found.first_seen_at) == (stage.now, first)


async def test_a_new_connection_beside_others_leaves_their_ages_alone(stage: Stage) -> None:
    """Ages belong to connections, not to users."""
    await stage.register(ANN)
    await stage.see(ANN, connected("fitbit"))
    first = stage.now
    await stage.see(ANN, connected("fitbit"), connected("oura"))
    assert [each.since for each in await stage.connections()] == [first, stage.now]


async def test_a_connection_that_comes_back_is_a_new_one(stage: Stage) -> None:
    """Its row was gone, and with it its ages."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    await stage.see(ANN)
    await stage.see(ANN, connected())
    found = await only(stage)
    assert (found.since, found.first_seen_at) == (stage.now, stage.now)


async def test_ages_outlive_removal_and_return(stage: Stage) -> None:
    """A person's decision changes nothing that was observed."""
    await stage.register(ANN)
    await stage.see(ANN, connected())
    before = await only(stage)
    await stage.store.cohort.set_intent(TARGET, [ANN], Intent.REMOVED, now=stage.now)
    await stage.register(ANN)
    assert await only(stage) == before


async def test_connections_can_be_asked_for_by_each_of_their_words(stage: Stage) -> None:
    """Conditions are taken together."""
    await stage.register(ANN, BOB)
    await stage.register(CID, target=OTHER_TARGET)
    await stage.see(ANN, connected("fitbit"), broken("oura"))
    await stage.see(BOB, broken("fitbit"))
    await stage.see(CID, broken("fitbit"), target=OTHER_TARGET)

    async def found(**wanted: object) -> list[tuple[object, str]]:
        return [(each.user_id, each.connection.provider) for each in await stage.connections(**wanted)]

    assert await found(target=OTHER_TARGET) == [(CID, "fitbit")]
    assert await found(user_id=ANN) == [(ANN, "fitbit"), (ANN, "oura")]
    assert await found(target=TARGET, provider="fitbit") == [(ANN, "fitbit"), (BOB, "fitbit")]
    assert await found(status="error", provider="fitbit") == [(CID, "fitbit"), (BOB, "fitbit")]
    assert await found(status="paused") == []


async def test_connections_come_as_users_were_registered_and_by_provider(stage: Stage) -> None:
    """Names are ordered by their characters, whatever language the database speaks."""
    await stage.register(BOB)
    await stage.register(CID, ANN)
    names = ("b_c", "B", "a", "bC", "Zeta", "émile", "_x")
    await stage.see(BOB, *(connected(each) for each in names))
    await stage.see(ANN, connected("z"))
    await stage.see(CID, connected("z"))
    found = [(each.user_id, each.connection.provider) for each in await stage.connections()]
    assert found == [*((BOB, each) for each in sorted(names)), (ANN, "z"), (CID, "z")]


async def test_every_word_of_a_connection_is_kept(stage: Stage) -> None:
    """What the vendor sends comes back as it was sent, empty words included."""
    row = Connection(
        provider="fitbit",
        status="error",
        created_on=stage.now - timedelta(microseconds=1),
        error_type="",
        error_message="",
        errored_at=stage.now,
        external_user_id="",
        resources={"sleep": "available", "": "", "body": "Some New Word"},
    )
    await stage.register(ANN)
    await stage.see(ANN, row)
    assert (await only(stage)).connection == row

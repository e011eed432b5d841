from __future__ import annotations

from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from monitor.simulator.catalogue import BY_SLUG, PROVIDERS, Identity
from monitor.simulator.population import Population, Shares
from monitor.simulator.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Callable


def _rows(population: Population, users: int) -> list[tuple[str, str, str | None]]:
    return [
        (slug, row.status, row.failure.error_type if row.failure else None)
        for index in range(users)
        for slug, row in population.user(index).connections.items()
    ]


def test_the_same_seed_gives_the_same_users() -> None:
    """Users depend on seed and index alone, not on what was asked before."""
    forwards = [Population(5).user(index) for index in range(50)]
    backwards = [Population(5).user(index) for index in reversed(range(50))]
    assert forwards == backwards[::-1]


def test_another_seed_gives_other_users() -> None:
    """No id of one seed is known to another."""
    assert not {Population(1).user_id(n) for n in range(100)} & {Population(2).user_id(n) for n in range(100)}


def test_ids_are_uuids_that_know_their_index() -> None:
    """Every id is a version 4 UUID from which the index is found without a table."""
    population = Population(9)
    for index in (0, 1, 99, 1_000_000):
        user_id = UUID(population.user_id(index))
        assert (user_id.version, population.index(user_id)) == (4, index)


def test_a_foreign_id_has_no_index() -> None:
    """An id that was never given is not taken for one that was."""
    assert Population(9).index(uuid4()) == -1


def test_users_have_one_to_four_connections() -> None:
    """Sizes are as they are in the field: one is the most common, four occur."""
    sizes = Counter(len(Population(1).user(index).connections) for index in range(500))
    assert sorted(sizes) == [1, 2, 3, 4]
    assert sizes.most_common(1)[0][0] == 1


def test_every_provider_and_error_type_occurs() -> None:
    """In a few thousand users nothing of the catalogue is missing."""
    rows = _rows(Population(1, Shares(error=0.5)), 2_000)
    assert {slug for slug, _, __ in rows} == set(BY_SLUG)
    assert len({error for _, __, error in rows if error}) == 8


def test_initial_shares_are_kept() -> None:
    """The asked part of the connections starts in error and paused."""
    statuses = Counter(status for _, status, __ in _rows(Population(3, Shares(error=0.2, paused=0.1)), 2_000))
    total = statuses.total()
    assert statuses["error"] / total == pytest.approx(0.2, abs=0.03)
    assert statuses["paused"] / total == pytest.approx(0.1, abs=0.03)


def test_some_errors_come_without_details() -> None:
    """An errored row with null details occurs, as it does at the vendor."""
    rows = _rows(Population(1, Shares(error=1, null_details=0.5)), 100)
    assert {error is None for _, __, error in rows} == {True, False}


def test_counting_agrees_with_looking() -> None:
    """The quick count of connections and errors is what one finds user by user."""
    population = Population(4)
    users = [population.user(index) for index in range(500)]
    looked = sum(len(user.connections) for user in users), sum(user.errored for user in users)
    assert population.count(500) == looked


def test_linked_users_are_found_without_making_them() -> None:
    """The quick look for a provider finds exactly the users that have it."""
    roster = Roster(Population(4), 300)
    slow = [index for index in range(300) if "oura" in roster.at(index).connections]
    assert [user.index for user in roster.linked("oura")] == slow


def test_ids_at_providers_look_like_those_of_the_provider() -> None:
    """Opaque ids, numbers, user names, e-mail addresses, and null for mobile SDK providers."""
    shapes: dict[Identity, Callable[[Any], bool]] = {
        Identity.HEX: lambda text: len(text) == 32,
        Identity.UUID: lambda text: UUID(text).version == 4,
        Identity.NUMBER: str.isdigit,
        Identity.SHORT: lambda text: len(text) == 6 and text.isupper(),
        Identity.USERNAME: lambda text: "_" in text and "@" not in text,
        Identity.EMAIL: lambda text: "@example." in text,
        Identity.NONE: lambda text: text is None,
    }
    population = Population(8)
    rows = [row for index in range(300) for row in population.user(index).connections.values()]
    assert {row.provider.identity for row in rows} == set(shapes)
    assert all(shapes[row.provider.identity](row.external_user_id) for row in rows)


def test_times_are_written_in_every_way() -> None:
    """Rows differ in Z or +00:00 and in fractions or none."""
    population = Population(8)
    rows = [row for index in range(100) for row in population.user(index).connections.values()]
    assert {(row.zulu, bool(row.created_on.microsecond)) for row in rows} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }


def test_slugs_are_unique() -> None:
    """The catalogue names every provider once."""
    assert len(BY_SLUG) == len(PROVIDERS)


def test_a_million_users_start_at_once() -> None:
    """A large world costs nothing before somebody looks."""
    started = perf_counter()
    roster = Roster(Population(1), 1_000_000)
    assert roster.find(roster.id_at(999_999)) is not None
    assert perf_counter() - started < 1

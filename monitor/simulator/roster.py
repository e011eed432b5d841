"""Who is registered now: all users of the population, with what has become of those that changed."""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.simulator.people import User
    from monitor.simulator.population import Population


class Roster:
    """The users, by index and by id. Only those that changed are held; the others are worked out when asked for."""

    def __init__(self, population: Population, size: int) -> None:
        self._population = population
        self._founders = self._size = size
        self._changed: dict[int, User] = {}
        self._deleted: list[int] = []
        self._incomplete: dict[int, None] = {}
        self._counts: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        """How many users there ever were; their indexes are all numbers below."""
        return self._size

    @property
    def present(self) -> int:
        """How many users are not deleted."""
        return self._size - len(self._deleted)

    @property
    def deleted(self) -> tuple[int, ...]:
        """The indexes of deleted users."""
        return tuple(self._deleted)

    @property
    def incomplete(self) -> tuple[int, ...]:
        """The indexes of users of whom a row has vanished."""
        return tuple(self._incomplete)

    def at(self, index: int) -> User:
        """Return the user number ``index`` as it is now."""
        return self._changed.get(index) or self._population.user(index)

    def id_at(self, index: int) -> str:
        """Return the id of the user number ``index``."""
        return self._population.user_id(index)

    def find(self, user_id: str | UUID) -> User | None:
        """Return the user with this id, deleted or not; None where there never was one."""
        index = self._population.index(user_id if isinstance(user_id, UUID) else UUID(user_id))
        return self.at(index) if 0 <= index < self._size else None

    def linked(self, slug: str) -> Iterator[User]:
        """Yield the users with a connection to ``slug``, the oldest first."""
        for index in range(self._size):
            if index in self._changed:
                if slug in self._changed[index].connections:
                    yield self._changed[index]
            elif self._population.is_linked(index, slug):
                yield self._population.user(index)

    def page(self, offset: int, limit: int) -> Iterator[User]:
        """Yield the users that are not deleted, the newest first."""
        first = self.present - 1 - offset
        for rank in range(first, max(-1, first - limit), -1):
            yield self.at(self._at_rank(rank))

    def counts(self) -> tuple[int, int]:
        """Return how many connections there are and how many of them are in error. Slow once, then quick."""
        if self._counts is None:
            total, errored = self._population.count(self._founders)
            for index, now in self._changed.items():
                then = self._population.user(index) if index < self._founders else None
                total, errored = _moved(total, errored, then, now)
            self._counts = total, errored
        return self._counts

    def put(self, before: User | None, after: User) -> None:
        """Replace ``before`` by ``after``; None before is a new user, whose index must be ``size``."""
        self._size += before is None
        self._changed[after.index] = after
        self._mark(after)
        if self._counts is not None:
            self._counts = _moved(*self._counts, before, after)

    def _mark(self, user: User) -> None:
        at = bisect_right(self._deleted, user.index) - 1
        known = at >= 0 and self._deleted[at] == user.index
        if user.deleted and not known:
            insort(self._deleted, user.index)
        if known and not user.deleted:
            del self._deleted[at]
        if user.absent and not user.deleted:
            self._incomplete[user.index] = None
        else:
            self._incomplete.pop(user.index, None)

    def _at_rank(self, rank: int) -> int:
        """Return the index of the user with ``rank`` present users below it."""
        index = rank
        while (found := rank + bisect_right(self._deleted, index)) != index:
            index = found
        return index


def _moved(total: int, errored: int, before: User | None, after: User) -> tuple[int, int]:
    total += len(after.connections) - (len(before.connections) if before else 0)
    return total, errored + after.errored - (before.errored if before else 0)

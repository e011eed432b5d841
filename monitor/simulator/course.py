"""The course of events: what a scenario lets happen, in the order of simulated time.

However coarsely or finely time is advanced, the same seed makes the same changes in the same order.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, Final

from monitor.simulator.mutation import MUTATIONS, ImpossibleChangeError
from monitor.simulator.orders import ClearStep, FaultStep, Order, Step
from monitor.simulator.words import CONNECTED, Do

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.simulator.faults import Faults
    from monitor.simulator.ledger import Change
    from monitor.simulator.people import Connection, User
    from monitor.simulator.scenario import Scenario
    from monitor.simulator.world import World

_GUESSES: Final = 64
_SCANNED: Final = 5_000


class Course:
    """Makes the changes and faults of ``scenario`` happen to ``world`` as its time goes on.

    A step of the timeline for which the world has no candidate is left out.
    """

    def __init__(self, scenario: Scenario, world: World, faults: Faults) -> None:
        self._changes = scenario.changes
        self._world = world
        self._faults = faults
        self._chance = random.Random(f"{scenario.seed}:course")
        self._timeline = sorted(scenario.timeline, key=lambda step: step.at)[::-1]
        self._touched: dict[int, float] = {}
        self._now = 0.0
        self._due = self._following(self._changes.since)

    @property
    def elapsed(self) -> float:
        """Seconds of simulated time gone by."""
        return self._now

    @property
    def finished(self) -> bool:
        """Whether nothing will ever happen any more."""
        return self._due == inf and not self._timeline

    def advance(self, to: float) -> None:
        """Let everything happen that is due until ``to`` seconds after the start."""
        while (at := min(self._due, self._timeline[-1].at if self._timeline else inf)) <= to:
            self._now = at
            if self._timeline and self._timeline[-1].at == at:
                self._step(self._timeline.pop())
            else:
                self._spontaneous()
                self._due = self._following(self._due)
        self._now = max(self._now, to)

    def carry_out(self, order: Order, chance: random.Random | None = None) -> tuple[Change, ...]:
        """Make one change now; raises ``ImpossibleChangeError`` where the world has no candidate for it."""
        chance = chance or self._chance
        if order.do is Do.NEW_USER:
            return (self._world.new_user(),)
        if order.do is Do.WAVE:
            return self._wave(order, chance)
        if order.do is Do.DELETE_USERS:
            return self._delete_users(order.share, chance)
        user, slug = self._target(order, chance)
        self._touched[user.index] = self._now
        if order.do is Do.DELETE_USER:
            return (self._world.delete_user(user.user_id),)
        if order.do is Do.RESTORE_USER:
            return (self._world.restore_user(user.user_id),)
        return self._world.change(
            order.do,
            user.user_id,
            slug,
            error_type=order.error_type,
            resource=order.resource,
            status=order.status,
            details=order.details,
            chance=chance,
        )

    def _following(self, at: float) -> float:
        if self._changes.per_second == 0 or not any(self._changes.shares.values()):
            return inf
        due = at + self._chance.expovariate(self._changes.per_second)
        return inf if self._changes.until is not None and due >= self._changes.until else due

    def _spontaneous(self) -> None:
        shares = self._changes.shares
        do = self._chance.choices(list(shares), list(shares.values()))[0]
        self._attempt(Order(do=do))

    def _step(self, step: Step | FaultStep | ClearStep) -> None:
        if isinstance(step, FaultStep):
            self._faults.set(step)
        elif isinstance(step, ClearStep):
            self._faults.clear(step.fault)
        else:
            self._attempt(step)

    def _attempt(self, order: Order) -> None:
        try:
            self.carry_out(order)
        except ImpossibleChangeError:
            return

    def _wave(self, order: Order, chance: random.Random) -> tuple[Change, ...]:
        slug = order.provider or ""
        struck = [
            user
            for user in self._world.users.linked(slug)
            if _suits(Do.RELINK, user.connections[slug]) and self._rested(user.index) and chance.random() < order.share
        ]
        error_type = order.error_type or "token_refresh_failed"
        made: list[Change] = []
        for user in struck:
            self._touched[user.index] = self._now
            made += self._world.change(Do.WAVE, user.user_id, slug, error_type=error_type)
        return tuple(made)

    def _delete_users(self, share: float, chance: random.Random) -> tuple[Change, ...]:
        """Delete this share of those who are left, rounded: half of nine is four."""
        present = [index for index in range(self._world.users.size) if not self._world.users.at(index).deleted]
        made: list[Change] = []
        for index in sorted(chance.sample(present, round(share * len(present)))):
            self._touched[index] = self._now
            made.append(self._world.delete_user(self._world.users.id_at(index), Do.DELETE_USERS))
        return tuple(made)

    def _target(self, order: Order, chance: random.Random) -> tuple[User, str]:
        if order.user_id is not None or order.user is not None:
            user = self._named(order)
            return user, order.provider or self._slug(order.do, user, chance)
        for index in self._indexes(order.do, chance):
            user = self._world.users.at(index)
            if self._rested(index) and (slugs := _slugs(order.do, user, order.provider)):
                return user, chance.choice(slugs)
        raise ImpossibleChangeError(f"nobody is there for {order.do}")

    def _named(self, order: Order) -> User:
        if order.user_id is not None:
            user = self._world.users.find(order.user_id)
        else:
            number = order.user or 0
            user = self._world.users.at(number) if number < self._world.users.size else None
        if user is None:
            raise ImpossibleChangeError("there is no such user")
        return user

    @staticmethod
    def _slug(do: Do, user: User, chance: random.Random) -> str:
        slugs = _slugs(do, user, None)
        if not slugs:
            raise ImpossibleChangeError(f"user {user.user_id} has no connection for {do}")
        return chance.choice(slugs)

    def _rested(self, index: int) -> bool:
        return self._now - self._touched.get(index, -inf) >= self._changes.rest

    def _indexes(self, do: Do, chance: random.Random) -> Iterator[int]:
        """Yield users worth a look: some at random, then a stretch one by one."""
        known = _WHERE.get(do)
        pool = known(self._world) if known else range(self._world.users.size)
        if not pool:
            return
        for _ in range(_GUESSES):
            yield pool[chance.randrange(len(pool))]
        start = chance.randrange(len(pool))
        for step in range(min(len(pool), _SCANNED)):
            yield pool[(start + step) % len(pool)]


_WHERE: Final[dict[Do, Callable[[World], tuple[int, ...]]]] = {
    Do.COME_BACK: lambda world: world.users.incomplete,
    Do.RESTORE_USER: lambda world: world.users.deleted,
}


def _slugs(do: Do, user: User, wanted: str | None) -> list[str]:
    """Return the providers of ``user`` for which ``do`` makes sense; one empty word where it is about the user."""
    if do in {Do.DELETE_USER, Do.RESTORE_USER}:
        return [""] if user.deleted is (do is Do.RESTORE_USER) else []
    rows = user.absent if do is Do.COME_BACK and not user.deleted else user.connections
    return [slug for slug, row in rows.items() if wanted in {None, slug} and (do is Do.COME_BACK or _suits(do, row))]


def _suits(do: Do, row: Connection) -> bool:
    if do in {Do.BREAK, Do.PAUSE, Do.VANISH} and row.status != CONNECTED:
        return False
    return do is Do.VANISH or MUTATIONS[do].possible(row)

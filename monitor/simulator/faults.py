"""Which answers go wrong now."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.words import Endpoint, Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.simulator.orders import FaultOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveFault:
    """A fault while it lasts. ``until`` is a time of the timer, ``users`` None means everybody.

    ``seed`` chooses the users of ``user_share``: the same ones in each request.
    """

    order: FaultOrder
    until: float | None
    users: frozenset[str] | None
    seed: str

    def meets(self, user_id: str | None, endpoint: Endpoint | None, chance: random.Random) -> bool:
        """Decide for one request of ``user_id``; None is a request that names no user."""
        if self.order.endpoint not in {None, endpoint}:
            return False
        if self.users is not None and user_id not in self.users:
            return False
        if self.order.user_share is not None and not self._is_chosen(user_id, self.order.user_share):
            return False
        return self.order.share >= 1 or chance.random() < self.order.share

    def _is_chosen(self, user_id: str | None, share: float) -> bool:
        return user_id is not None and random.Random(f"{self.seed}:{user_id}").random() < share


class Faults:
    """The faults that are on. Choices come from a generator seeded with ``seed``."""

    def __init__(
        self,
        *,
        seed: int,
        timer: Callable[[], float],
        clock: Callable[[], datetime],
        user_id: Callable[[int], str],
    ) -> None:
        self._chance = random.Random(f"{seed}:faults")
        self._seed = seed
        self._ordered = 0
        self._timer = timer
        self._clock = clock
        self._user_id = user_id
        self._active: list[ActiveFault] = []

    def __bool__(self) -> bool:
        return bool(self._active)

    @property
    def active(self) -> tuple[ActiveFault, ...]:
        """The faults that are on now, the oldest first."""
        now = self._timer()
        self._active = [each for each in self._active if each.until is None or now < each.until]
        return tuple(self._active)

    @property
    def chance(self) -> random.Random:
        """The generator behind every choice of a fault."""
        return self._chance

    def now(self) -> datetime:
        """Return the time that an answer with a fault writes."""
        return self._clock()

    def set(self, order: FaultOrder) -> None:
        """Switch a fault on, beside those that are on already."""
        users = None
        if order.users is not None:
            users = frozenset(self._user_id(each) if isinstance(each, int) else str(each) for each in order.users)
        until = None if order.lasts is None else self._timer() + order.lasts
        # The number makes each order choose its users anew.
        self._ordered += 1
        seed = f"{self._seed}:fault:{self._ordered}"
        self._active.append(ActiveFault(order=order, until=until, users=users, seed=seed))

    def clear(self, fault: Fault | None = None) -> None:
        """Switch off every fault of this sort, or all."""
        self._active = [each for each in self._active if fault is not None and each.order.fault is not fault]

    def strike(self, user_id: str | None, endpoint: Endpoint | None = None) -> tuple[float, FaultOrder | None]:
        """Return for one request the added latency in seconds and the first fault that meets it."""
        latency, struck = 0.0, None
        for each in self.active:
            if each.order.fault is Fault.LATENCY:
                latency += each.order.delay if each.meets(user_id, endpoint, self._chance) else 0.0
            elif struck is None and each.meets(user_id, endpoint, self._chance):
                struck = each.order
        return latency, struck

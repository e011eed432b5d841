"""Which answers go wrong now."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.words import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.simulator.orders import FaultOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveFault:
    """A fault while it lasts. ``until`` is a time of the timer, ``users`` None means everybody."""

    order: FaultOrder
    until: float | None
    users: frozenset[str] | None

    def meets(self, user_id: str | None, chance: random.Random) -> bool:
        """Decide for one request of ``user_id``; None is a request that names no user."""
        if self.users is not None and user_id not in self.users:
            return False
        return self.order.share >= 1 or chance.random() < self.order.share


class Faults:
    """The faults that are on. Choices come from a generator seeded with ``seed``."""

    def __init__(self, *, seed: int, timer: Callable[[], float], user_id: Callable[[int], str]) -> None:
        self._chance = random.Random(f"{seed}:faults")
        self._timer = timer
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

    def set(self, order: FaultOrder) -> None:
        """Switch a fault on, beside those that are on already."""
        users = None
        if order.users is not None:
            users = frozenset(self._user_id(each) if isinstance(each, int) else str(each) for each in order.users)
        until = None if order.lasts is None else self._timer() + order.lasts
        self._active.append(ActiveFault(order=order, until=until, users=users))

    def clear(self, fault: Fault | None = None) -> None:
        """Switch off every fault of this sort, or all."""
        self._active = [each for each in self._active if fault is not None and each.order.fault is not fault]

    def strike(self, user_id: str | None) -> tuple[float, FaultOrder | None]:
        """Return for one request the added latency in seconds and the first fault that meets it."""
        latency, struck = 0.0, None
        for each in self.active:
            if each.order.fault is Fault.LATENCY:
                latency += each.order.delay if each.meets(user_id, self._chance) else 0.0
            elif struck is None and each.meets(user_id, self._chance):
                struck = each.order
        return latency, struck

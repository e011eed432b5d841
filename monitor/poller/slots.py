"""How targets share the slots of one process: idle slots are lent, but no target starves another.

Each target has at least one slot. It may borrow those that others leave idle, but not while its last answers timed
out: a target that hangs would keep what it borrowed until the time-out.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from monitor.core.judge import Claim
    from monitor.poller.target import Target


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claimed user that waits for a slot."""

    lane: Lane
    claim: Claim
    claimed_at: datetime
    start_by: float
    """On the monotonic clock: later than this, the answer could outlast the lease."""

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it is too late to start, or the target asked for less since."""
        return time.monotonic() > self.start_by or self.lane.target.blocks(self.claimed_at, now)


@dataclass(slots=True, eq=False)
class Lane:
    """What one target has in hand: claimed users that wait, that are in flight, and that are not yet committed."""

    target: Target
    waiting: deque[Waiting] = field(default_factory=deque)
    in_flight: int = 0
    in_hand: int = 0
    throughput: float = 0.0
    """Polls that were lately committed in a second."""
    more_due: bool = False
    """Whether the last claim left users that are due."""


class Slots:
    """Hands waiting users to free slots, the targets in turn."""

    def __init__(self, targets: Mapping[str, Target], concurrency: int) -> None:
        self.lanes = {name: Lane(target) for name, target in targets.items()}
        self.count = max(concurrency, len(targets))
        self._turn = deque(self.lanes.values())
        self._idle: deque[asyncio.Future[None]] = deque()

    @property
    def in_hand(self) -> int:
        """How many users of all targets are claimed and not yet settled."""
        return sum(lane.in_hand for lane in self.lanes.values())

    def limit(self, lane: Lane) -> int:
        """Return how many slots a target may use now."""
        if lane.target.is_hanging:
            return max(1, self.count // len(self.lanes))
        return max(1, self.count - len(self.lanes) + 1)

    def put(self, waiting: Sequence[Waiting]) -> None:
        """Line up claimed users of one target."""
        for each in waiting:
            each.lane.waiting.append(each)
        self.wake(len(waiting))

    def wake(self, slots: int) -> None:
        """Let idle slots look for work."""
        while self._idle and slots > 0:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                slots -= 1

    async def get(self) -> Waiting:
        """Return the next user to poll; its slot is in use until :meth:`free`."""
        while (waiting := self._next()) is None:
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future
        return waiting

    def free(self, lane: Lane) -> None:
        """Give a slot back."""
        lane.in_flight -= 1

    def take_lapsed(self, lane: Lane, now: datetime) -> list[Waiting]:
        """Take all users of a target out of the line whose time has lapsed: a rejection ends every poll at once."""
        lapsed = [each for each in lane.waiting if each.has_lapsed(now)]
        if lapsed:
            gone = set(map(id, lapsed))
            lane.waiting = deque(each for each in lane.waiting if id(each) not in gone)
        return lapsed

    def take_all(self) -> list[Waiting]:
        """Take everybody out of the line."""
        waiting = [each for lane in self.lanes.values() for each in lane.waiting]
        for lane in self.lanes.values():
            lane.waiting.clear()
        return waiting

    def wants_more(self) -> Iterable[Lane]:
        """Return the targets that have users due and too few of them in line to keep the slots busy."""
        return (lane for lane in self._turn if lane.more_due and 2 * len(lane.waiting) < self.limit(lane))

    def _next(self) -> Waiting | None:
        for _ in range(len(self._turn)):
            lane = self._turn[0]
            self._turn.rotate(-1)
            if lane.waiting and lane.in_flight < self.limit(lane):
                lane.in_flight += 1
                return lane.waiting.popleft()
        return None

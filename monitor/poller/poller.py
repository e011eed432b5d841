"""The flow of polls: claimed users wait for a slot, slots fetch, what they saw waits for the next commit.

All three overlap: a slow answer holds up one slot, never a batch. What is in hand is bounded by the number of slots
and by what was lately got through in a second, so memory does not grow with the cohort, and a claimed user does not
wait longer than its lease. What was read and not yet committed is bounded in bytes as well, so that it does not grow
with what Junction sends either.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.errors import StoreUnavailable
from monitor.poller.fetch import Seen, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.availability import Availability
    from monitor.core.judge import Claim, Verdict
    from monitor.poller.committer import Committer
    from monitor.poller.target import Target
    from monitor.ports import Polls

LEASE_SLACK: Final = timedelta(seconds=10)
"""A lease lasts ``poll.timeout`` and this (contract, section 6)."""
COMMIT_EVERY: Final = 0.1
LARGEST_BATCH: Final = 1000
LARGEST_CLAIM: Final = 1000
RETRY_COMMIT_AFTER: Final = 0.5
HEAVY: Final = 2 << 20
"""Bytes of answers that wait to be committed; while it is more, no other answer is read that says something new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerSettings:
    """``concurrency`` requests are in flight at most; one request lasts ``timeout`` at most."""

    concurrency: int
    timeout: timedelta

    @property
    def lease(self) -> timedelta:
        """How long a claimed user is ours."""
        return self.timeout + LEASE_SLACK


@dataclass(frozen=True, slots=True)
class _Ready:
    target: Target
    claim: Claim
    claimed_at: datetime
    start_by: float
    """On the monotonic clock: later than this, the answer could outlast the lease."""

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it is too late to start, or the target asked for less since."""
        return time.monotonic() > self.start_by or self.target.blocks(self.claimed_at, now)


class Poller:
    """Polls whoever is due, until it is stopped; then it finishes what is in flight and gives the rest back."""

    def __init__(
        self,
        *,
        targets: Mapping[str, Target],
        polls: Polls,
        committer: Committer,
        settings: PollerSettings,
        availability: Availability,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
        on_commit: Callable[[Sequence[Verdict]], None],
    ) -> None:
        self._targets = targets
        self._polls = polls
        self._committer = committer
        self._settings = settings
        self._availability = availability
        self._log = log
        self._clock = clock
        self._on_commit = on_commit
        self._ready: asyncio.Queue[_Ready] = asyncio.Queue()
        self._seen: deque[Seen] = deque()
        self._in_hand = 0
        self._weight = 0
        self._lighter = asyncio.Event()
        self._per_second = 0.0
        self._hungry: dict[str, bool] = {}
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def in_hand(self) -> int:
        """How many users are claimed and not yet settled."""
        return self._in_hand

    async def settled(self) -> None:
        """Return when nothing is in hand."""
        await self._idle.wait()

    def tick(self) -> None:
        """Look for due users now."""
        self._wake.set()

    def stop(self) -> None:
        """Claim no more; :meth:`run` returns when what is in flight is committed."""
        self._stopping = True
        self._wake.set()
        self._news.set()

    async def run(self) -> None:
        """Poll until :meth:`stop`, then drain. Draining takes at most one time-out and a little."""
        async with asyncio.TaskGroup() as group:
            slots = [group.create_task(self._slot()) for _ in range(self._settings.concurrency)]
            committing = group.create_task(self._keep_committing())
            await self._keep_claiming()
            await self._give_back_the_waiting()
            await committing
            for each in slots:
                each.cancel()

    async def run_once(self, target: Target, user_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Poll these users whether due or not and return those that could not be had; for use beside :meth:`run`.

        A user that another process has in hand is waited for as long as a lease lasts.
        """
        left = dict.fromkeys(user_ids)
        give_up = time.monotonic() + self._settings.lease.total_seconds()
        while left and target.health.rejected is None and time.monotonic() < give_up:
            wanted = await self._spend(target, list(left)[: self._room()])
            begun = time.monotonic()
            claims = await self._polls.claim_users(target.name, wanted, now=self._clock(), lease=self._settings.lease)
            for each in claims:
                del left[each.user.user_id]
            for each_id in set(wanted) - {each.user.user_id for each in claims}:
                left[each_id] = left.pop(each_id)
            target.give_back(len(wanted) - len(claims))
            self._take_in(target, claims, begun)
            if claims:
                give_up = time.monotonic() + self._settings.lease.total_seconds()
            await asyncio.sleep(0.02)
        return frozenset(left)

    async def _spend(self, target: Target, wanted: Sequence[UUID]) -> Sequence[UUID]:
        pace = target.pace()
        granted = await self._polls.spend(target.name, len(wanted), now=self._clock(), pace=pace)
        target.agree(pace, granted.budget, self._clock())
        return wanted[: granted.requests]

    # --- claim ---

    async def _keep_claiming(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            for target in self._targets.values():
                if not self._stopping:
                    self._hungry[target.name] = await self._claim_safely(target)

    async def _claim_safely(self, target: Target) -> bool:
        try:
            return await self._claim(target)
        except Exception:  # noqa: BLE001 - the job's border: the next tick claims again
            self._log.exception(events.JOB_CRASHED, job="claim", target=target.name)
            return False

    async def _claim(self, target: Target) -> bool:
        """Return whether more are due, as far as one can see: all that there was room for were had."""
        room, pace, now = self._room(), target.pace(), self._clock()
        hungry = self._hungry.get(target.name, False)
        if not room and not pace.lessons:
            return hungry
        begun = time.monotonic()
        try:
            claimed = await self._polls.claim(target.name, limit=room, now=now, lease=self._settings.lease, pace=pace)
        except StoreUnavailable as error:
            self._availability.lost("claim", error)
            return False
        self._availability.answered("claim")
        target.agree(pace, claimed.budget, now)
        target.believe()
        self._take_in(target, claimed.claims, begun)
        return len(claimed.claims) == room if room else hungry

    def _take_in(self, target: Target, claims: Sequence[Claim], begun: float) -> None:
        """Line up ``claims``. Their leases count from when the claim was ``begun``, however late its answer came."""
        now, start_by = self._clock(), begun + LEASE_SLACK.total_seconds() / 2
        self._in_hand += len(claims)
        if self._in_hand:
            self._idle.clear()
        for each in claims:
            self._ready.put_nowait(_Ready(target, each, now, start_by))

    def _room(self) -> int:
        slots = self._settings.concurrency
        waiting = max(slots, int(self._per_second / 2)) - self._ready.qsize()
        in_hand = 2 * slots + int(2 * self._per_second) - self._in_hand
        return max(0, min(waiting, in_hand, LARGEST_CLAIM))

    def _lapsed(self) -> list[_Ready]:
        """Take all that has lapsed out of the queue, in one go: a target that rejects us ends every poll at once."""
        now, lapsed = self._clock(), list[_Ready]()
        for each in [self._ready.get_nowait() for _ in range(self._ready.qsize())]:
            if each.has_lapsed(now):
                lapsed.append(each)
            else:
                self._ready.put_nowait(each)
        return lapsed

    async def _give_back_the_waiting(self) -> None:
        waiting = [self._ready.get_nowait() for _ in range(self._ready.qsize())]
        await self._give_back(waiting)

    async def _give_back(self, waiting: Sequence[_Ready]) -> None:
        try:
            if waiting:
                await self._polls.release([each.claim for each in waiting])
                self._availability.answered("claim")
        except StoreUnavailable as error:
            self._availability.lost("claim", error)
        finally:
            self._settle(len(waiting))

    def _settle(self, count: int) -> None:
        self._in_hand -= count
        if not self._in_hand:
            self._idle.set()
        self._news.set()
        if any(self._hungry.values()):
            self._wake.set()

    # --- fetch ---

    async def _slot(self) -> None:
        while True:
            ready = await self._ready.get()
            if any(self._hungry.values()) and self._ready.qsize() * 2 < self._settings.concurrency:
                self._wake.set()
            if ready.has_lapsed(self._clock()):
                await self._give_back([ready, *self._lapsed()])
                continue
            try:
                self._see(await fetch(ready.target, ready.claim, self._clock, self._room_to_read))
            except Exception:  # noqa: BLE001 - the job's border: one crashed poll must not end the others
                self._log.exception(events.POLL_CRASHED, target=ready.target.name)
                self._settle(1)

    async def _room_to_read(self) -> None:
        while self._weight > HEAVY:
            self._lighter.clear()
            await self._lighter.wait()

    def _see(self, seen: Seen) -> None:
        self._weight += seen.weight
        self._seen.append(seen)
        self._news.set()

    # --- commit ---

    async def _keep_committing(self) -> None:
        began = time.monotonic()
        while not self._stopping or self._in_hand or self._seen:
            await self._news.wait()
            if len(self._seen) < LARGEST_BATCH and not self._stopping:
                await asyncio.sleep(COMMIT_EVERY)
            self._news.clear()
            batch = [self._seen.popleft() for _ in range(min(len(self._seen), LARGEST_BATCH))]
            if batch:
                await self._commit(batch)
            if self._seen:
                self._news.set()
            ended = time.monotonic()
            self._per_second += 0.3 * (len(batch) / max(ended - began, COMMIT_EVERY / 2) - self._per_second)
            began = ended

    async def _commit(self, batch: Sequence[Seen]) -> None:
        give_up = time.monotonic() + LEASE_SLACK.total_seconds()
        try:
            while True:
                try:
                    verdicts = await self._committer.commit(batch)
                except StoreUnavailable as error:
                    self._availability.lost("commit", error)
                    # After this the leases have passed: the users are due again for whoever claims them next.
                    if time.monotonic() + RETRY_COMMIT_AFTER > give_up:
                        return
                    await asyncio.sleep(RETRY_COMMIT_AFTER)
                else:
                    self._availability.answered("commit")
                    self._on_commit(verdicts)
                    return
        except Exception:  # noqa: BLE001 - the job's border: what could not be committed is polled again
            self._log.exception(events.POLL_CRASHED, polls=len(batch))
        finally:
            self._weight -= sum(each.weight for each in batch)
            self._lighter.set()
            self._settle(len(batch))

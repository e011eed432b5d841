"""The flow of polls: claimed users wait for a slot, slots fetch, and their answers wait for the next commit.

All three overlap: a slow answer holds up one slot, never a batch. What is in hand is bounded by the number of slots
and by what was lately got through in a second, so memory does not grow with the cohort, and a claimed user does not
wait longer than its lease. What was read and not yet committed is bounded in bytes as well, so that it does not grow
with what Junction sends either.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core.model import Outcome
from monitor.core.target_health import PollAnswer
from monitor.errors import StoreUnavailable
from monitor.job_border import CLAIM, COMMIT
from monitor.poller.fetch import FetchResult, fetch
from monitor.poller.slots import Lane, Slots, Waiting
from monitor.ports import UserPage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from structlog.typing import FilteringBoundLogger

    from monitor.core.judge import Claim, Verdict
    from monitor.job_border import JobBorder
    from monitor.poller.committer import Committer
    from monitor.poller.target import Target
    from monitor.ports import Answer, Metrics, Polls

LEASE_SLACK: Final = timedelta(seconds=10)
"""A lease lasts ``poll.timeout`` and this (contract, section 6)."""
COMMIT_EVERY: Final = 0.1
"""Seconds between two commits: many users share one, and a change is stored soon."""
LARGEST_BATCH: Final = 1000
LARGEST_CLAIM: Final = 1000
RETRY_COMMIT_AFTER: Final = 0.5
MAX_PENDING_BYTES: Final = 2 << 20
"""Bytes of answers that wait to be committed; while it is more, no other answer is read that says something new."""
SMOOTHING: Final = 0.3
"""Weight of the latest commit in the moving average of the throughput: settles within about ten commits, a second."""
HOPELESS: Final = 10
"""Users of one batch that fail alone, none having been written, after which the commit itself is at fault."""
QUESTION: Final = "question"
POLL: Final = "poll"
CRASHED: Final = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerSettings:
    """``concurrency`` requests are in flight at most; one request lasts ``timeout`` at most."""

    concurrency: int
    timeout: timedelta

    @property
    def lease(self) -> timedelta:
        """How long a claimed user is ours."""
        return self.timeout + LEASE_SLACK


class Poller:
    """Polls whoever is due, until it is stopped; then it finishes what is in flight and gives the rest back."""

    def __init__(
        self,
        *,
        targets: Mapping[str, Target],
        polls: Polls,
        committer: Committer,
        settings: PollerSettings,
        border: JobBorder,
        metrics: Metrics,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
        on_commit: Callable[[Sequence[Verdict]], None],
    ) -> None:
        self._polls = polls
        self._committer = committer
        self._settings = settings
        self._border = border
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._on_commit = on_commit
        self._slots = Slots(targets, settings.concurrency)
        self._results: deque[FetchResult] = deque()
        self._pending_bytes = 0
        self._below_limit = asyncio.Event()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._wake = asyncio.Event()
        self._results_ready = asyncio.Event()
        self._questions: set[asyncio.Task[None]] = set()

    @property
    def in_hand(self) -> int:
        """How many users are claimed and not yet settled."""
        return self._slots.in_hand

    async def settled(self) -> None:
        """Return when nothing is in hand."""
        await self._idle.wait()

    def tick(self) -> None:
        """Look for due users now."""
        self._slots.wake(self._slots.count)
        self._wake.set()

    def stop(self) -> None:
        """Claim no more; :meth:`run` returns when what is in flight is committed."""
        self._stopping = True
        self._wake.set()
        self._results_ready.set()

    async def run(self) -> None:
        """Poll until :meth:`stop`, then drain. Draining takes at most one time-out and a little."""
        async with asyncio.TaskGroup() as group:
            slots = [group.create_task(self._work()) for _ in range(self._slots.count)]
            committing = group.create_task(self._keep_committing())
            await self._keep_claiming(group)
            await self._give_back(self._slots.take_all())
            await committing
            for task in (*slots, *self._questions):
                task.cancel()

    async def run_once(self, target: Target, user_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Poll these users whether due or not and return those that could not be had; for use beside :meth:`run`.

        A user that another process has in hand is waited for as long as a lease lasts.
        """
        lane = self._slots.lanes[target.name]
        left = dict.fromkeys(user_ids)
        give_up = time.monotonic() + self._settings.lease.total_seconds()
        while left and target.health.rejected is None and time.monotonic() < give_up:
            wanted = await self._spend(target, list(left)[: self._free_capacity(lane)])
            begun = time.monotonic()
            claims = await self._polls.claim_users(target.name, wanted, now=self._clock(), lease=self._settings.lease)
            for claim in claims:
                del left[claim.user.user_id]
            for user_id in set(wanted) - {claim.user.user_id for claim in claims}:
                left[user_id] = left.pop(user_id)
            target.give_back(len(wanted) - len(claims))
            self._take_in(lane, claims, begun)
            if claims:
                give_up = time.monotonic() + self._settings.lease.total_seconds()
            await asyncio.sleep(0.02)  # a pass over named users must not keep the loop from their answers
        return frozenset(left)

    async def _spend(self, target: Target, wanted: Sequence[UUID]) -> Sequence[UUID]:
        pace = target.pace()
        granted = await self._polls.spend(target.name, len(wanted), now=self._clock(), pace=pace)
        target.sync_budget(pace, granted.budget, self._clock())
        return wanted[: granted.requests]

    # --- claim ---

    async def _keep_claiming(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            for lane in self._slots.lanes.values():
                if not self._stopping:
                    await self._claim(lane, group)

    async def _claim(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        async with self._border(CLAIM, target=lane.target.name) as attempt:
            if await self._claim_due_users(lane):
                self._ask(group, lane.target)
        if not attempt.succeeded:
            lane.more_due = False

    async def _claim_due_users(self, lane: Lane) -> bool:
        """Claim users and note whether more are due, as far as one can see: as many came as there was room for.

        Return whether the target is to be asked about itself.
        """
        target = lane.target
        room, pace, now = self._free_capacity(lane), target.pace(), self._clock()
        if not room and not pace.lessons and target.health.is_calm:
            return False
        begun = time.monotonic()
        claimed = await self._polls.claim(target.name, limit=room, now=now, lease=self._settings.lease, pace=pace)
        target.sync_budget(pace, claimed.budget, now)
        self._take_in(lane, claimed.claims, begun)
        if room:
            lane.more_due = len(claimed.claims) == room
        return claimed.asks

    def _take_in(self, lane: Lane, claims: Sequence[Claim], begun: float) -> None:
        """Line up ``claims``. Their leases count from when the claim was ``begun``, however late its answer came."""
        now, start_by = self._clock(), begun + LEASE_SLACK.total_seconds() / 2
        lane.in_hand += len(claims)
        if lane.in_hand:
            self._idle.clear()
        self._slots.put([Waiting(lane, claim, now, start_by) for claim in claims])

    def _free_capacity(self, lane: Lane) -> int:
        slots = self._slots.limit(lane)
        waiting = max(slots, int(lane.throughput / 2)) - len(lane.waiting)
        in_hand = 2 * slots + int(2 * lane.throughput) - lane.in_hand
        return max(0, min(waiting, in_hand, LARGEST_CLAIM))

    async def _give_back(self, waiting: Sequence[Waiting]) -> None:
        if not waiting:
            return
        async with self._border(CLAIM):
            await self._polls.release([each.claim for each in waiting])
        self._settle(Counter(each.lane.target.name for each in waiting))

    def _settle(self, counts: Counter[str]) -> None:
        for name, count in counts.items():
            self._slots.lanes[name].in_hand -= count
        if not self._slots.in_hand:
            self._idle.set()
        self._results_ready.set()
        if any(lane.more_due for lane in self._slots.lanes.values()):
            self._wake.set()

    # --- the question about the target itself ---

    def _ask(self, group: asyncio.TaskGroup, target: Target) -> None:
        task = group.create_task(self._ask_about(target))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _ask_about(self, target: Target) -> None:
        """Ask whether the key is accepted and the API answers, without any one user."""
        async with self._border(QUESTION, target=target.name):
            asked_at = self._clock()
            answer = await target.junction.users(offset=0, limit=1)
            told = _question_answer(answer, asked_at, self._clock())
            now, pace = self._clock(), target.pace()
            assessed = await self._polls.note_question(target.name, told, now=now, pace=pace)
            target.note_assessment(pace, assessed, now)

    # --- fetch ---

    async def _work(self) -> None:
        while True:
            waiting = await self._slots.get()
            lane = waiting.lane
            try:
                if any(self._slots.wants_more()):
                    self._wake.set()
                if waiting.has_lapsed(self._clock()):
                    await self._give_back([waiting, *self._slots.take_lapsed(lane, self._clock())])
                else:
                    self._keep(await self._fetch(lane.target, waiting.claim))
            finally:
                self._slots.free(lane)

    async def _fetch(self, target: Target, claim: Claim) -> FetchResult:
        started_at = self._clock()
        try:
            return await fetch(target, claim, self._clock, self._room_to_read)
        except Exception as error:  # noqa: BLE001 - one user's answer must not end the polls of others
            self._note_crash(target, error)
            return _crashed(target, claim, started_at, self._clock(), error)

    async def _room_to_read(self) -> None:
        while self._pending_bytes > MAX_PENDING_BYTES:
            self._below_limit.clear()
            await self._below_limit.wait()

    def _keep(self, result: FetchResult) -> None:
        self._pending_bytes += result.size
        self._results.append(result)
        self._results_ready.set()

    def _note_crash(self, target: Target, error: Exception) -> None:
        self._log.error(events.POLL_CRASHED, target=target.name, exc_info=error)
        self._metrics.job_crashed(POLL)

    # --- commit ---

    async def _keep_committing(self) -> None:
        began = time.monotonic()
        while not self._stopping or self._slots.in_hand or self._results:
            await self._results_ready.wait()
            if len(self._results) < LARGEST_BATCH and not self._stopping:
                await asyncio.sleep(COMMIT_EVERY)
            self._results_ready.clear()
            batch = [self._results.popleft() for _ in range(min(len(self._results), LARGEST_BATCH))]
            if batch:
                await self._commit(batch)
            if self._results:
                self._results_ready.set()
            ended = time.monotonic()
            self._note_throughput(batch, max(ended - began, COMMIT_EVERY / 2))
            began = ended

    def _note_throughput(self, batch: Sequence[FetchResult], seconds: float) -> None:
        polls = Counter(result.target.name for result in batch)
        for name, lane in self._slots.lanes.items():
            lane.throughput += SMOOTHING * (polls[name] / seconds - lane.throughput)

    async def _commit(self, batch: Sequence[FetchResult]) -> None:
        """Commit ``batch``; where that fails unexpectedly, split it until the users that fail stand alone."""
        give_up = time.monotonic() + LEASE_SLACK.total_seconds()
        parts, failed, written = [list(batch)], 0, 0
        try:
            while parts and (written or failed < HOPELESS):
                part = parts.pop()
                error = await self._commit_part(part, give_up)
                if error is None:
                    written += 1
                elif len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    failed += 1
                    parts += self._without_content(part[0], error)
            if failed and not written:
                self._border.crashed(COMMIT, None, RuntimeError(f"none of {failed} users could be written"))
        finally:
            self._pending_bytes -= sum(result.size for result in batch)
            self._below_limit.set()
            self._settle(Counter(result.target.name for result in batch))

    async def _commit_part(self, part: Sequence[FetchResult], give_up: float) -> Exception | None:
        """Commit ``part`` as a whole; return what was raised where that cannot be done."""
        prepared = None
        try:
            while True:
                try:
                    prepared = prepared or await self._committer.prepare(part)
                    verdicts = await self._committer.commit(prepared)
                except StoreUnavailable as error:
                    self._border.availability.lost(COMMIT, error)
                    # After this the leases have passed: the users are due again for whoever claims them next.
                    if time.monotonic() + RETRY_COMMIT_AFTER > give_up:
                        return None
                    await asyncio.sleep(RETRY_COMMIT_AFTER)
                else:
                    self._border.succeeded(COMMIT, None)
                    self._on_commit(verdicts)
                    return None
        except Exception as error:  # noqa: BLE001 - the caller finds out whose answer it is, and keeps the others
            return error

    def _without_content(self, result: FetchResult, error: Exception) -> list[list[FetchResult]]:
        """Return what is committed in place of an answer that cannot be: that nothing was observed."""
        self._note_crash(result.target, error)
        if result.code == CRASHED:
            return []
        return [[_crashed(result.target, result.claim, result.started_at, result.ended_at, error)]]


def _question_answer(answer: Answer | UserPage, asked_at: datetime, at: datetime) -> PollAnswer:
    """Return what came back for nobody, as an answer that verdicts understand."""
    if isinstance(answer, UserPage):
        return PollAnswer(key=0, outcome=Outcome.UNCHANGED, code="200", asked_at=asked_at, at=at, counts=False)
    outcome = answer.outcome or Outcome.MALFORMED
    return PollAnswer(
        key=0, outcome=outcome, code=answer.code, asked_at=asked_at, at=at, counts=False, detail=answer.detail
    )


def _crashed(target: Target, claim: Claim, started_at: datetime, ended_at: datetime, error: Exception) -> FetchResult:
    """Return the result of a poll that failed in this program: nothing was observed, and the user backs off."""
    return FetchResult(
        target=target,
        claim=claim,
        outcome=Outcome.MALFORMED,
        started_at=started_at,
        ended_at=ended_at,
        took=max(0.0, (ended_at - started_at).total_seconds()),
        code=CRASHED,
        detail=type(error).__name__,
    )

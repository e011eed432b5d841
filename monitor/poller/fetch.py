"""One poll up to its answer: ask, compare the digest, read what is new."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from monitor.core.model import Outcome, Presence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta

    from monitor.core.judge import Claim
    from monitor.core.model import Snapshot
    from monitor.poller.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """What came back for one user. ``snapshot`` is set only where the answer's bytes are not those of the last one.

    ``size`` is how many bytes of the answer are held in memory; ``took`` is in seconds.
    """

    target: Target
    claim: Claim
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    took: float
    code: str
    digest: bytes | None = None
    snapshot: Snapshot | None = None
    retry_after: timedelta | None = None
    detail: str | None = None
    size: int = 0


async def fetch(
    target: Target, claim: Claim, clock: Callable[[], datetime], room_to_read: Callable[[], Awaitable[None]]
) -> FetchResult:
    """Ask for one user and return what came of it; nothing that the network or the vendor does is raised.

    Before an answer that says something new is read, ``room_to_read`` is awaited.
    """
    started_at, begun = clock(), time.perf_counter()
    answer = await target.junction.connections(claim.user.user_id)
    took, ended_at = time.perf_counter() - begun, clock()
    target.note_answer(timed_out=answer.outcome is Outcome.TIMEOUT)
    # The digest is not cryptographic: it only detects change.
    digest = None if answer.outcome else xxh3_128_digest(answer.body)
    says_more = digest is not None and (digest != claim.digest or claim.presence is not Presence.PRESENT)
    if says_more:
        await room_to_read()
    snapshot = target.junction.read(answer.body) if says_more else None
    outcome = answer.outcome or _outcome(snapshot, says_more=says_more)
    return FetchResult(
        target=target,
        claim=claim,
        outcome=outcome,
        started_at=started_at,
        ended_at=ended_at,
        took=took,
        code=answer.code,
        digest=None if outcome is Outcome.MALFORMED else digest,
        snapshot=snapshot,
        retry_after=answer.retry_after,
        detail=answer.detail,
        size=len(answer.body) if snapshot else 0,
    )


def _outcome(snapshot: Snapshot | None, *, says_more: bool) -> Outcome:
    if not says_more:
        return Outcome.UNCHANGED
    return Outcome.MALFORMED if snapshot is None else Outcome.CHANGED

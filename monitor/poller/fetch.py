"""One poll up to what it saw: ask, compare the digest, read what is new."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from monitor.core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from monitor.core.judge import Claim
    from monitor.core.model import Snapshot
    from monitor.poller.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one poll saw. ``snapshot`` is set only where the answer's bytes are not those of the last one.

    ``weight`` is how many bytes were read into it.
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
    detail: str | None = None
    weight: int = 0


async def fetch(
    target: Target, claim: Claim, clock: Callable[[], datetime], room: Callable[[], Awaitable[None]]
) -> Seen:
    """Ask for one user and return what came of it; nothing that the network or the vendor does is raised.

    Before an answer that says something new is read, ``room`` is awaited.
    """
    started_at, begun = clock(), time.perf_counter()
    answer = await target.junction.connections(claim.user.user_id)
    took, ended_at = time.perf_counter() - begun, clock()
    digest = None if answer.outcome else xxh3_128_digest(answer.body)  # tells answers apart, keeps no forger out
    says_more = digest is not None and digest != claim.digest
    if says_more:
        await room()
    snapshot = target.junction.read(answer.body) if says_more else None
    outcome = answer.outcome or _outcome(snapshot, says_more=says_more)
    target.heard(claim, answer, outcome, started_at=started_at, now=ended_at)
    return Seen(
        target=target,
        claim=claim,
        outcome=outcome,
        started_at=started_at,
        ended_at=ended_at,
        took=took,
        code=answer.code,
        digest=None if outcome is Outcome.MALFORMED else digest,
        snapshot=snapshot,
        detail=answer.detail,
        weight=len(answer.body) if snapshot else 0,
    )


def _outcome(snapshot: Snapshot | None, *, says_more: bool) -> Outcome:
    if not says_more:
        return Outcome.UNCHANGED
    return Outcome.MALFORMED if snapshot is None else Outcome.CHANGED

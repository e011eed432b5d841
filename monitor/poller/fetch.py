"""One poll up to what it saw: ask, compare the digest, read what is new."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from monitor.core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.core.judge import Claim
    from monitor.core.model import Snapshot
    from monitor.poller.target import Target
    from monitor.ports import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one poll saw. ``snapshot`` is set only where the answer's bytes are not those of the last one."""

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


async def fetch(target: Target, claim: Claim, clock: Callable[[], datetime]) -> Seen:
    """Ask for one user and return what came of it; nothing that the network or the vendor does is raised."""
    started_at, begun = clock(), time.perf_counter()
    answer = await target.junction.connections(claim.user.user_id)
    took, ended_at = time.perf_counter() - begun, clock()
    outcome, digest, snapshot = _read(target, claim, answer)
    target.heard(claim, answer, outcome, started_at=started_at, now=ended_at)
    return Seen(
        target=target,
        claim=claim,
        outcome=outcome,
        started_at=started_at,
        ended_at=ended_at,
        took=took,
        code=answer.code,
        digest=digest,
        snapshot=snapshot,
        detail=answer.detail,
    )


def _read(target: Target, claim: Claim, answer: Answer) -> tuple[Outcome, bytes | None, Snapshot | None]:
    if answer.outcome is not None:
        return answer.outcome, None, None
    digest = xxh3_128_digest(answer.body)  # to tell an answer from the last one, not to keep a forger out
    if digest == claim.digest:
        return Outcome.UNCHANGED, digest, None
    snapshot = target.junction.read(answer.body)
    return (Outcome.MALFORMED, None, None) if snapshot is None else (Outcome.CHANGED, digest, snapshot)

"""A scripted Junction and silent metrics: fakes of our own ports."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.core.model import Connection, Outcome, Snapshot
from monitor.ports import Answer, UserPage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from monitor.ports import Poll


def ok(**statuses: str) -> Answer:
    """Return a 200 whose body says these statuses by provider."""
    return Answer(outcome=None, code="200", body=json.dumps(statuses).encode())


REJECTED = Answer(outcome=Outcome.REJECTED, code="401")
MISSING = Answer(outcome=Outcome.GONE, code="404")
INVALID = Answer(outcome=Outcome.INVALID, code="422", detail="not a valid id")
THROTTLED = Answer(outcome=Outcome.THROTTLED, code="429")


@dataclass
class FakeJunction:
    """Answers as ``script`` says, after ``latency`` seconds, and counts."""

    script: Callable[[UUID], Answer] = lambda _: ok(fitbit="connected")
    latency: float = 0.0
    asked: Counter[UUID] = field(default_factory=Counter)
    reads: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    pages: list[UserPage | Answer] = field(default_factory=list)
    team: Callable[[], UserPage | Answer] = lambda: UserPage(users=(), total=0)
    questions: int = 0

    async def connections(self, user_id: UUID) -> Answer:
        """Answer as scripted."""
        self.asked[user_id] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
            return self.script(user_id)
        finally:
            self.in_flight -= 1

    def read(self, body: bytes) -> Snapshot | None:
        """Read what :func:`ok` wrote; anything else is malformed."""
        self.reads += 1
        try:
            statuses: dict[str, str] = json.loads(body)
        except ValueError:
            return None
        rows = {
            provider: Connection(
                provider=provider, status=status, error_type="token_refresh_failed" if status == "error" else None
            )
            for provider, status in statuses.items()
        }
        return Snapshot(connections=rows)

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Give the next scripted page; a page of one user is the question about the target itself."""
        assert offset >= 0
        assert limit > 0
        if limit == 1:
            self.questions += 1
            return self.team()
        return self.pages.pop(0)

    async def errored_connections(self) -> int | None:
        """Know nothing."""
        return None

    async def aclose(self) -> None:
        """Close nothing."""


@dataclass
class Recorded:
    """Metrics that remember every call, by name."""

    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all calls of this name."""
        return [arguments for each, arguments in self.calls if each == name]

    def _record(self, name: str, *arguments: object) -> None:
        self.calls.append((name, arguments))

    def polled(self, target: str, polls: Sequence[Poll]) -> None:
        """Record."""
        self._record("polled", target, tuple(polls))

    def malformed_rows(self, target: str, count: int) -> None:
        """Record."""
        self._record("malformed_rows", target, count)

    def detected(self, target: str, delay_seconds: float) -> None:
        """Record."""
        self._record("detected", target, delay_seconds)

    def recovered(self, target: str, seconds: float) -> None:
        """Record."""
        self._record("recovered", target, seconds)

    def committed(self, seconds: float) -> None:
        """Record."""
        self._record("committed", seconds)

    def delivered(self, sink: str, outcome: str, count: int) -> None:
        """Record."""
        self._record("delivered", sink, outcome, count)

    def target_up(self, target: str, up: bool) -> None:
        """Record."""
        self._record("target_up", target, up)

    def throttle_factor(self, target: str, factor: float) -> None:
        """Record."""
        self._record("throttle_factor", target, factor)

    def succeeded(self, target: str, at: datetime) -> None:
        """Record."""
        self._record("succeeded", target, at)

    def database_up(self, up: bool) -> None:
        """Record."""
        self._record("database_up", up)

    def job_crashed(self, job: str) -> None:
        """Record."""
        self._record("job_crashed", job)

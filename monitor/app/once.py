"""One poll of some users, or of all, for a person at the command line."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from monitor import logs
from monitor.app.opening import opened
from monitor.app.parts import Parts
from monitor.core.model import Intent, Outcome, Presence
from monitor.metrics import ProgrammeMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from uuid import UUID

    from monitor.config import Config
    from monitor.core.judge import Verdict
    from monitor.core.model import Transition
    from monitor.ports import Cohort, Member

PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSummary:
    """What polling once came to. ``unpolled`` are users that are not active members, or could not be had.

    ``rejected`` says that the target refuses the key, None where it does not.
    """

    polled: int
    outcomes: Mapping[Outcome, int]
    unpolled: frozenset[UUID]
    rejected: str | None


async def poll_once(
    config: Config,
    target_name: str,
    user_ids: Sequence[UUID] | None,
    on_transitions: Callable[[Sequence[Transition]], None],
) -> PollSummary:
    """Poll these users (None: all active ones) whether due or not, commit, and hand their transitions over.

    Alerts are left to the daemon: it decides on what was committed here with its own policy and for its own sinks,
    which need not be those of the configuration that a person polls with.
    """
    outcomes: Counter[Outcome] = Counter()

    def on_commit(verdicts: Sequence[Verdict]) -> None:
        outcomes.update(each.outcome for each in verdicts)
        found = [each for verdict in verdicts if verdict.change for each in verdict.change.transitions]
        if found:
            on_transitions(found)

    log = logs.stderr(config.log.level)
    metrics = ProgrammeMetrics(CollectorRegistry(), targets=list(config.require_targets()))
    async with opened(config) as store:
        parts = Parts(config, store, metrics, log, on_commit)
        target = parts.targets[target_name]
        running = asyncio.create_task(parts.poller.run())
        watched = None if user_ids is None else await _watched(store.cohort, target_name, user_ids)
        left = set(user_ids or ()) - set(watched or ())
        try:
            async for page in _pages(store.cohort, target_name, watched):
                left |= await parts.poller.run_once(target, page)
            await parts.poller.settled()
        finally:
            parts.poller.stop()
            await running
            await parts.aclose()
    return PollSummary(
        polled=outcomes.total(),
        outcomes=outcomes,
        unpolled=frozenset(left),
        rejected=_rejection(outcomes),
    )


def _rejection(outcomes: Counter[Outcome]) -> str | None:
    refused = outcomes[Outcome.REJECTED]
    return "Junction refuses the API key (401 or 403)" if refused and refused == outcomes.total() else None


async def _watched(cohort: Cohort, target: str, user_ids: Sequence[UUID]) -> list[UUID]:
    members = [await cohort.member(target, each) for each in user_ids]
    return [each.user_id for each in members if each is not None and _is_active(each)]


def _is_active(member: Member) -> bool:
    return member.intent is Intent.ACTIVE and member.presence is not Presence.INVALID


async def _pages(cohort: Cohort, target: str, user_ids: Sequence[UUID] | None) -> AsyncIterator[list[UUID]]:
    if user_ids is not None:
        yield list(user_ids)
        return
    page: list[UUID] = []
    async for member in cohort.members(target):
        if _is_active(member):
            page.append(member.user_id)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page

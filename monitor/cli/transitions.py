"""``monitor transitions``: what changed, oldest first, and what changes now."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import moments, session, streams
from monitor.cli.chronicle import Chronicle
from monitor.cli.interruption import stopping
from monitor.cli.options import Json, OnlyTarget, Provider, User
from monitor.core.model import Kind
from monitor.errors import UsageError
from monitor.ports import TransitionFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime
    from uuid import UUID

    from monitor.config import Config
    from monitor.core.model import Transition
    from monitor.ports import Views

LOOKS_AGAIN_AFTER = 1.0
"""Seconds between two looks while following."""
WINDOW = timedelta(minutes=2)
"""How late a transition may be committed after it was observed, and still be shown while following."""
REMEMBERED = 100_000
"""How many transitions of the window are remembered as shown."""

Since = Annotated[str, typer.Option("--since", metavar="D|TIME", help="From this time, or this long ago.")]
Until = Annotated[str | None, typer.Option("--until", metavar="D|TIME", help="Before this time.")]
OfKind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only this kind, such as errored.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new ones until Ctrl-C.")]


def transitions(
    ctx: typer.Context,
    since: Since = "1d",
    until: Until = None,
    user: User = None,
    provider: Provider = None,
    kind: OfKind = None,
    target: OnlyTarget = None,
    as_json: Json = False,
    follow: Follow = False,
) -> None:
    """Print the transitions of a span of time, oldest first."""
    if follow and until is not None:
        raise UsageError("--follow and --until exclude each other")
    now = session.clock()
    wanted = TransitionFilter(
        user_id=session.user_filter(user),
        provider=provider,
        kind=None if kind is None else _kind(kind),
        since=moments.parse(since, now, option="--since"),
        until=None if until is None else moments.parse(until, now, option="--until"),
    )
    config = session.configuration(ctx)
    wanted = replace(wanted, target=session.target_filter(config, target))
    session.run(_print(config, wanted, Chronicle(as_json=as_json), follow=follow))


def _kind(text: str) -> Kind:
    kinds = [each.value for each in Kind]
    if text not in kinds:
        close = get_close_matches(text, kinds, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(kinds)}"
        raise UsageError(f"--kind: there is no kind {text!r}, {hint}")
    return Kind(text)


async def _print(config: "Config", wanted: TransitionFilter, chronicle: Chronicle, *, follow: bool) -> None:
    async with session.opened(config) as store:
        if not follow:
            await _print_span(store.views, wanted, chronicle)
            return
        with stopping() as stop:
            async for each in followed(store.views, wanted, stop, session.clock):
                chronicle.write_all([each])


async def _print_span(views: "Views", wanted: TransitionFilter, chronicle: Chronicle) -> None:
    count = 0
    async for each in views.transitions(wanted):
        chronicle.write(each)
        count += 1
    if not count and wanted.since is not None:
        streams.note(f"no such transitions since {moments.plain(wanted.since)}")


async def followed(
    views: "Views",
    wanted: TransitionFilter,
    stop: asyncio.Event,
    clock: "Callable[[], datetime]",
    pause: float = LOOKS_AGAIN_AFTER,
) -> "AsyncIterator[Transition]":
    """Yield transitions as they are committed, each once, until ``stop`` is set.

    Replicas commit a little out of the order of observation, so each look goes back by a window, and what was
    yielded of that window is remembered.
    """
    yielded: dict[UUID, datetime] = {}
    floor = wanted.since
    while not stop.is_set():
        edge = clock() - WINDOW
        async for each in views.transitions(replace(wanted, since=floor)):
            if each.id not in yielded:
                yielded[each.id] = each.observed_at
                yield each
            if stop.is_set():
                return
        edge = _edge(yielded, edge)
        floor = edge if floor is None else max(floor, edge)
        yielded = {id_: at for id_, at in yielded.items() if at >= floor}
        await _either(stop, pause)


def _edge(yielded: "dict[UUID, datetime]", edge: "datetime") -> "datetime":
    """Return where the next look begins: at ``edge``, or later where more happened since than is remembered."""
    recent = [at for at in yielded.values() if at >= edge]
    return edge if len(recent) <= REMEMBERED else max(edge, sorted(recent)[-REMEMBERED])


async def _either(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return

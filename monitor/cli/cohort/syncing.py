"""``monitor cohort sync``: register every user that the target lists."""

from typing import TYPE_CHECKING

import typer

from monitor.cli import session, streams
from monitor.cli.cohort.membership import counted
from monitor.cli.options import Target

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.discovery import Discovery


def sync(ctx: typer.Context, target: Target = None) -> None:
    """Register every user that the target lists. Removed users stay removed, paused ones paused."""
    config = session.configuration(ctx)
    name = session.one_target(config, target)
    found = session.run(_discover(config, name))
    streams.note(f"{name} lists {counted(found.listed)}: {found.added:,} new, {found.known:,} known")
    if not found.complete:
        streams.note(f"monitor: the list of {name} is not complete: {found.failure}")
        raise typer.Exit(1)


async def _discover(config: "Config", target: str) -> "Discovery":
    from monitor.app.parts import junction  # noqa: PLC0415 - keeps the program's start quick
    from monitor.discovery import discover  # noqa: PLC0415 - keeps the program's start quick
    from monitor.pacing import Pacer  # noqa: PLC0415 - keeps the program's start quick

    settings = config.require_targets()[target]
    async with session.opened(config) as store:
        client = junction(config, settings)
        pacer = Pacer(target, rate=settings.max_requests_per_second, polls=store.polls, clock=session.clock)
        try:
            return await discover(target, client, store.cohort, session.clock, pacer.turn)
        finally:
            await client.aclose()

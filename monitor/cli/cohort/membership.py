"""Users named one by one: add, remove, pause, resume, erase."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import session, streams
from monitor.cli.options import AnyUserIds, Target, UserId, UserIds, Yes
from monitor.core.model import Intent
from monitor.errors import UsageError
from monitor.ports import ListedUser

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from monitor.config import Config
    from monitor.ports import Registered

All = Annotated[bool, typer.Option("--all", help="All users of the target instead.")]
LOG_IN_USE = (
    "what is erased is deleted, but its text stays in the write-ahead log (the file that ends in -wal) as long as "
    "another program reads the database: end that program; then a daemon empties the log within 6 hours, and without "
    "one the log goes when the last program closes the database, or type the command again"
)
DONE = {Intent.ACTIVE: "resumed", Intent.PAUSED: "paused", Intent.REMOVED: "removed"}


def add(ctx: typer.Context, user_ids: UserIds, target: Target = None) -> None:
    """Register users; they are polled at once. Removed users come back, paused ones stay paused."""
    users = session.user_ids(user_ids)
    config = session.configuration(ctx)
    name = session.one_target(config, target)
    registered = session.run(_register(config, name, users))
    streams.note(f"added {counted(len(users))} to {name}: {told(registered)}")


def pause(ctx: typer.Context, user_ids: AnyUserIds = None, every: All = False, target: Target = None) -> None:
    """Stop polling users until they are resumed; their connections stay in the counts."""
    _decide(ctx, user_ids, Intent.PAUSED, target, every=every)


def resume(ctx: typer.Context, user_ids: AnyUserIds = None, every: All = False, target: Target = None) -> None:
    """Poll paused or invalid users again, at once."""
    _decide(ctx, user_ids, Intent.ACTIVE, target, every=every)


def remove(
    ctx: typer.Context, user_ids: AnyUserIds = None, every: All = False, yes: Yes = False, target: Target = None
) -> None:
    """Take users out of the cohort; their history is kept."""
    _decide(ctx, user_ids, Intent.REMOVED, target, every=every, yes=yes)


def erase(ctx: typer.Context, user_id: UserId, yes: Yes = False, target: Target = None) -> None:
    """Delete every trace of a user, history included. It cannot be undone."""
    user = session.user_ids([user_id])[0]
    config = session.configuration(ctx)
    name = session.one_target(config, target)
    session.confirm(f"Delete every trace of user {user} of {name}?", yes=yes)
    known, is_log_empty = session.run(_erase(config, name, user))
    if not is_log_empty:
        streams.note(f"monitor: {LOG_IN_USE}")
    if not known:
        streams.note(f"{user}: not known to {name}")
        raise typer.Exit(1)
    streams.note(f"erased 1 user of {name}")


def _decide(
    ctx: typer.Context,
    texts: "Sequence[str] | None",
    intent: Intent,
    target: str | None,
    *,
    every: bool,
    yes: bool = True,
) -> None:
    users = session.user_ids(texts or ())
    if every == bool(users):
        raise UsageError("name users or say --all" if not every else "--all and USER_ID exclude each other")
    config = session.configuration(ctx)
    name = session.one_target(config, target)
    if every:
        session.confirm(f"Remove all users of {name}?", yes=yes)
    concerned = session.run(_set_intent(config, name, None if every else users, intent))
    streams.note(f"{DONE[intent]} {counted(len(concerned))} of {name}")
    unknown = [each for each in users if each not in concerned]
    for each in unknown:
        streams.note(f"{each}: not in the cohort of {name}")
    if unknown:
        raise typer.Exit(1)


def counted(number: int) -> str:
    """Return ``1 user`` or ``1,234 users``."""
    return f"{number:,} user{'' if number == 1 else 's'}"


def told(registered: "Registered") -> str:
    """Return what a registration came to, in words."""
    back = f", {registered.returned:,} back" if registered.returned else ""
    return f"{registered.added:,} new{back}, {registered.known:,} known"


async def _register(config: "Config", target: str, users: "Sequence[UUID]") -> "Registered":
    listed = [ListedUser(user_id=each, client_user_id=None) for each in users]
    async with session.opened(config) as store:
        return await store.cohort.register(target, listed, now=session.clock(), revive=True)


async def _set_intent(
    config: "Config", target: str, users: "Sequence[UUID] | None", intent: Intent
) -> "frozenset[UUID]":
    async with session.opened(config) as store:
        return await store.cohort.set_intent(target, users, intent, now=session.clock())


async def _erase(config: "Config", target: str, user_id: "UUID") -> tuple[bool, bool]:
    """Return whether the user was known, and whether nothing of what was deleted is left in the database's log."""
    async with session.opened(config) as store:
        return await store.cohort.erase(target, user_id, now=session.clock()), await store.upkeep.purge_log()

"""``monitor history``: what happened to one user, or how its connections stood at a time."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import moments, records, session, streams
from monitor.cli.chronicle import Chronicle
from monitor.cli.options import Json, OnlyTarget, UserId
from monitor.cli.tables import Column, Table
from monitor.errors import UsageError
from monitor.ports import TransitionFilter

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from monitor.config import Config
    from monitor.ports import PastSnapshot, Store

At = Annotated[str | None, typer.Option("--at", metavar="D|TIME", help="The connections as they stood then.")]

COLUMNS = (
    Column(title="provider", whole=True),
    Column(title="status", whole=True),
    Column(title="error"),
    Column(title="errored at"),
    Column(title="unavailable resources"),
    Column(title="message"),
)


def history(
    ctx: typer.Context, user_id: UserId, at: At = None, target: OnlyTarget = None, as_json: Json = False
) -> None:
    """Print one user's transitions, oldest first; with --at the snapshot as it stood then."""
    user = session.user_ids([user_id])[0]
    moment = None if at is None else moments.parse(at, session.clock(), option="--at")
    config = session.configuration(ctx)
    name = session.target_filter(config, target)
    found = session.run(_show(config, name, user, moment, as_json=as_json))
    if not found:
        raise typer.Exit(1)


async def _show(
    config: "Config", target: str | None, user: "UUID", moment: "datetime | None", *, as_json: bool
) -> bool:
    async with session.opened(config) as store:
        name = await target_of(store, [target] if target else list(config.targets), user)
        if name is None:
            streams.note(f"{user}: not known to {target or 'any target'}")
            return False
        if moment is not None:
            return await _show_snapshot(store, name, user, moment, as_json=as_json)
        return await _show_transitions(store, name, user, as_json=as_json)


async def target_of(store: "Store", targets: list[str], user: "UUID") -> str | None:
    """Return the target that knows the user, None where none does.

    Raises:
        UsageError: several do.
    """
    known = [each for each in targets if await store.cohort.member(each, user) is not None]
    if len(known) > 1:
        raise UsageError(f"{user} is known to several targets, name one: --target {'|'.join(known)}")
    return known[0] if known else None


async def _show_transitions(store: "Store", target: str, user: "UUID", *, as_json: bool) -> bool:
    chronicle, count = Chronicle(as_json=as_json), 0
    async for each in store.views.transitions(TransitionFilter(target=target, user_id=user)):
        chronicle.write(each)
        count += 1
    if not count:
        streams.note(f"{user}: nothing happened yet")
    return True


async def _show_snapshot(store: "Store", target: str, user: "UUID", moment: "datetime", *, as_json: bool) -> bool:
    stood = await store.views.snapshot_at(target, user, moment)
    if stood is None:
        streams.note(f"{user}: nothing was known yet at {moments.plain(moment)}")
        return False
    if as_json:
        streams.put_record(records.snapshot(target, user, moment, stood))
    else:
        _table(stood)
    return True


def _table(stood: "PastSnapshot") -> None:
    seen = f"seen from {moments.plain(stood.first_observed_at)} to {moments.plain(stood.last_observed_at)}"
    if stood.gone:
        streams.note(f"the user was gone, {seen}")
    elif not stood.connections:
        streams.note(f"no connections, {seen}")
    else:
        streams.note(seen)
    with Table(COLUMNS) as table:
        for each in stood.connections:
            missing = ", ".join(name for name, word in sorted(each.resources.items()) if word != "available")
            table.add(each.provider, each.status, each.error_type, each.errored_at, missing or None, each.error_message)

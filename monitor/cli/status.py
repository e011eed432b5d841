"""``monitor status``: the counts, and the connections in error."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import census, records, session, streams
from monitor.cli.options import Json, OnlyTarget, Provider, User
from monitor.cli.tables import Column, Table
from monitor.core.model import ERROR

if TYPE_CHECKING:
    from monitor.cli.census import Wanted
    from monitor.config import Config
    from monitor.ports import ConnectionView, Store

Status = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="Only this status, such as error or paused.")
]

LISTED = 1000
"""Connections that are listed on a terminal, where nobody reads more."""
USERS = (
    Column(title="target", whole=True),
    *(Column(title=each, justify="right") for each in ("active", "paused", "gone", "fresh", "overdue")),
    Column(title="last seen", ago=True),
    Column(title="oldest", ago=True),
)
COUNTS = (
    Column(title="target", whole=True, dull=True),
    Column(title="provider", whole=True),
    Column(title="status", whole=True),
    Column(title="error"),
    Column(title="connections", justify="right"),
)
CONNECTIONS = (
    Column(title="user", whole=True),
    Column(title="provider", whole=True),
    Column(title="status", whole=True),
    Column(title="since", ago=True),
    Column(title="error"),
    Column(title="message"),
    Column(title="target", whole=True, dull=True),
)


def status(
    ctx: typer.Context,
    provider: Provider = None,
    status: Status = None,
    user: User = None,
    target: OnlyTarget = None,
    as_json: Json = False,
) -> None:
    """Print counts by provider, status and error type, then the connections in error.

    With --status or --user it is those connections that are listed.
    """
    user_id = session.user_filter(user)
    config = session.configuration(ctx)
    name = session.target_filter(config, target)
    wanted = census.Wanted(target=name, provider=provider, status=status, user_id=user_id)
    session.run(_show(config, wanted, as_json=as_json))


async def _show(config: "Config", wanted: "Wanted", *, as_json: bool) -> None:
    async with session.opened(config) as store:
        if wanted.user_id is None:
            await _show_users(config, store, wanted, as_json=as_json)
        await _show_counts(store, wanted, as_json=as_json)
        await _show_connections(store, wanted, as_json=as_json)


async def _show_users(config: "Config", store: "Store", wanted: "Wanted", *, as_json: bool) -> None:
    now = session.clock()
    found = await census.users(config, store.views, wanted, now)
    with Table(USERS, title="Users", label="users", now=now) as table:
        for each in found:
            if as_json:
                streams.put_record(each.record())
            else:
                table.add(*each.cells())
    for problem in (problem for each in found for problem in each.problems(now)):
        streams.note(f"monitor: {problem}")
    for shortfall in filter(None, (each.shortfall() for each in found)):
        streams.note(f"monitor: {shortfall}")


async def _show_counts(store: "Store", wanted: "Wanted", *, as_json: bool) -> None:
    with Table(COUNTS, title="Connections", label="counts") as table:
        for each in await census.connections(store.views, wanted):
            if as_json:
                streams.put_record(each.record())
            else:
                table.add(*each.cells())


async def _show_connections(store: "Store", wanted: "Wanted", *, as_json: bool) -> None:
    listed = wanted.status or (None if wanted.user_id else ERROR)
    title = f"Connections in {listed}" if listed else "Connections"
    count = 0
    with Table(CONNECTIONS, title=title, label="connection", now=session.clock()) as table:
        async for each in store.views.connections(
            target=wanted.target, provider=wanted.provider, status=listed, user_id=wanted.user_id
        ):
            if count == LISTED and streams.on_terminal() and not as_json:
                streams.note(f"only the first {LISTED:,} are shown; narrow them down, or take all with --json")
                break
            count += 1
            if as_json:
                streams.put_record({"record": "connection"} | records.connection(each))
            else:
                _add(table, each)
    if not count:
        streams.note(f"no connection is in {listed}" if listed else "no connections")


def _add(table: Table, each: "ConnectionView") -> None:
    row = each.connection
    table.add(str(each.user_id), row.provider, row.status, each.since, row.error_type, row.error_message, each.target)

"""``monitor cohort list``: every user with all that is known of it."""

from typing import TYPE_CHECKING

import typer

from monitor.cli import records, session, streams
from monitor.cli.options import Json, OnlyTarget
from monitor.cli.tables import Column, Table

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.ports import Member

COLUMNS = (
    Column(title="user", whole=True),
    Column(title="client user"),
    Column(title="target", whole=True, dull=True),
    Column(title="state", whole=True),
    Column(title="last seen", ago=True),
    Column(title="next due", ago=True),
    Column(title="failures", justify="right"),
    Column(title="reason"),
)


def list_(ctx: typer.Context, target: OnlyTarget = None, as_json: Json = False) -> None:
    """List the users of the cohort, removed ones left out."""
    config = session.configuration(ctx)
    session.run(_list(config, session.target_filter(config, target), as_json=as_json))


async def _list(config: "Config", target: str | None, *, as_json: bool) -> None:
    count = 0
    async with session.opened(config) as store:
        with Table(COLUMNS, now=session.clock()) as table:
            async for each in store.cohort.members(target):
                count += 1
                if as_json:
                    streams.put_record(records.member(each))
                else:
                    _add(table, each)
    if not count:
        streams.note("the cohort is empty")


def _add(table: Table, each: "Member") -> None:
    due = each.next_poll_at if records.is_polled(each) else None
    state = records.member_state(each)
    table.add(
        str(each.user_id),
        each.client_user_id,
        each.target,
        state,
        each.observed_at,
        due,
        each.failures,
        each.reason,
    )

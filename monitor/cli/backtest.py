"""``monitor backtest``: what a policy would have fired over stored history, beside the present one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli import moments, session, streams
from monitor.cli.options import Json, OnlyTarget
from monitor.cli.tables import Column, Table
from monitor.core.policy import Severity
from monitor.core.wording import incident_payload, payload
from monitor.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.app.backtest import Tried
    from monitor.config import Config

PolicyFile = Annotated[
    Path, typer.Option("--policy", metavar="FILE", help="A configuration file; its alerts section is tried.")
]
Since = Annotated[str, typer.Option("--since", metavar="D|TIME", help="From this time, or this long ago.")]
Until = Annotated[str | None, typer.Option("--until", metavar="D|TIME", help="Before this time; now where left out.")]

LOUDNESS = [each.value for each in (Severity.CRITICAL, Severity.WARNING, Severity.INFO)]
PROPOSED, PRESENT = "proposed", "present"
DAYS = (
    Column(title="day", whole=True),
    *(Column(title=f"{policy} {word}", justify="right") for policy in (PROPOSED, PRESENT) for word in LOUDNESS),
)
TOTALS = (
    Column(title="policy", whole=True),
    *(Column(title=each, justify="right") for each in (*LOUDNESS, "alerts", "incidents", "resolved")),
)


def backtest(
    ctx: typer.Context,
    policy: PolicyFile,
    since: Since = "7d",
    until: Until = None,
    target: OnlyTarget = None,
    as_json: Json = False,
) -> None:
    """Run the alert policy of a file over stored transitions; print what would have fired, beside the present policy.

    Nothing is stored or told. Critical is what pages people; members of an incident are info.
    """
    now = session.clock()
    start = moments.parse(since, now, option="--since")
    end = now if until is None else moments.parse(until, now, option="--until")
    if end <= start:
        raise UsageError("--until: expected a time after --since")
    config = session.configuration(ctx)
    name = session.target_filter(config, target)
    session.run(_backtest(config, _proposed(policy), name, start, end, as_json=as_json))


def _proposed(path: Path) -> "Config":
    from monitor.config import load  # noqa: PLC0415 - keeps the program's start quick

    return load(path, {name: value for name, value in os.environ.items() if not name.startswith("MONITOR_ALERTS__")})


async def _backtest(
    config: "Config", proposed: "Config", target: str | None, start: "datetime", end: "datetime", *, as_json: bool
) -> None:
    from monitor.app.backtest import rehearse  # noqa: PLC0415 - keeps the program's start quick
    from monitor.app.policy import alert_policy  # noqa: PLC0415 - as above

    async with session.opened(config) as store:
        tried = {
            name: await rehearse(
                store.views, alert_policy(each, interval=config.poll.interval), since=start, until=end, target=target
            )
            for name, each in ((PROPOSED, proposed), (PRESENT, config))
        }
    if as_json:
        _put_records(tried)
    else:
        _show(tried)
    if not any(each.alerts or each.incidents for each in tried.values()):
        streams.note(f"nothing would have fired between {moments.plain(start)} and {moments.plain(end)}")


def _show(tried: "dict[str, Tried]") -> None:
    days = sorted({day for each in tried.values() for day, _ in each.days})
    with Table(DAYS, title="Fired by day", label="day") as table:
        for day in days:
            amounts = [tried[policy].days[day, word] for policy in (PROPOSED, PRESENT) for word in LOUDNESS]
            table.add(day.isoformat(), *amounts)
    with Table(TOTALS, title="In all", label="total") as table:
        for name, each in tried.items():
            table.add(name, *_total(each).values())


def _put_records(tried: "dict[str, Tried]") -> None:
    for name, each in tried.items():
        for at, step in each.incidents:
            streams.put_record({"record": "incident", "policy": name, "at": at} | incident_payload(step))
        for at, decision in each.alerts:
            said = {"record": "alert", "policy": name, "at": at, "reason": decision.reason}
            streams.put_record(said | payload(decision))
        for (day, word), amount in sorted(each.days.items()):
            streams.put_record(
                {"record": "day", "policy": name, "day": day.isoformat(), "severity": word, "fired": amount}
            )
    for name, each in tried.items():
        streams.put_record({"record": "total", "policy": name} | _total(each))


def _total(each: "Tried") -> dict[str, Any]:
    firing = [decision for _, decision in each.alerts if decision.state.value == "firing"]
    return {word: each.fired(word) for word in LOUDNESS} | {
        "alerts": len(firing),
        "incidents": sum(step.was is None for _, step in each.incidents),
        "resolved": len(each.alerts) - len(firing),
    }

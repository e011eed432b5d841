"""``monitor alerts``: what is open, and what was."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import moments, records, session, streams
from monitor.cli.options import Json, OnlyTarget, Provider, User
from monitor.cli.tables import Column, Table
from monitor.core.policy import Severity
from monitor.errors import UsageError
from monitor.ports import AlertFilter

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.cli.cells import Cell
    from monitor.config import Config
    from monitor.ports import AlertView, IncidentView, Store

All = Annotated[bool, typer.Option("--all", help="Past ones too, of the last 7 days or since --since.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="D|TIME", help="Past ones too that ended since then, or this long ago.")
]
OfSeverity = Annotated[
    str | None, typer.Option("--severity", metavar="SEVERITY", help="Only these: info, warning or critical.")
]

LATELY = "7d"
LOUDNESS = [each.value for each in Severity if each is not Severity.NONE]
INCIDENTS = (
    Column(title="provider", whole=True),
    Column(title="error", whole=True),
    Column(title="severity", whole=True),
    Column(title="state", whole=True),
    Column(title="since", ago=True),
    Column(title="users", justify="right"),
    Column(title="share", justify="right"),
    Column(title="broken", justify="right"),
    Column(title="cause"),
    Column(title="why"),
    Column(title="ended", ago=True),
    Column(title="target", whole=True, dull=True),
)
ALERTS = (
    Column(title="user", whole=True),
    Column(title="provider", whole=True),
    Column(title="alert", whole=True),
    Column(title="error"),
    Column(title="severity", whole=True),
    Column(title="state", whole=True),
    Column(title="since", ago=True),
    Column(title="why"),
    Column(title="due", ago=True),
    Column(title="ended", ago=True),
    Column(title="incident"),
    Column(title="target", whole=True, dull=True),
)


def alerts(
    ctx: typer.Context,
    every: All = False,
    since: Since = None,
    user: User = None,
    provider: Provider = None,
    severity: OfSeverity = None,
    target: OnlyTarget = None,
    as_json: Json = False,
) -> None:
    """Print open alerts and incidents; with --all or --since past ones too."""
    back = since or (LATELY if every else None)
    moment = None if back is None else moments.parse(back, session.clock(), option="--since")
    config = session.configuration(ctx)
    wanted = AlertFilter(
        target=session.target_filter(config, target),
        user_id=session.user_filter(user),
        provider=provider,
        severity=None if severity is None else _severity(severity),
        only_open=moment is None,
        since=moment,
    )
    session.run(_show(config, wanted, moment, as_json=as_json))


def _severity(text: str) -> Severity:
    if text not in LOUDNESS:
        raise UsageError(f"--severity: expected one of: {', '.join(LOUDNESS)}, got {text!r}")
    return Severity(text)


async def _show(config: "Config", wanted: AlertFilter, since: "datetime | None", *, as_json: bool) -> None:
    async with session.opened(config) as store:
        # A user is not what an incident is about.
        count = 0 if wanted.user_id else await _show_incidents(store, wanted, since, as_json=as_json)
        count += await _show_alerts(store, wanted, as_json=as_json)
    if not count:
        streams.note("no open alerts" if since is None else f"no alerts since {moments.plain(since)}")


async def _show_incidents(store: "Store", wanted: AlertFilter, since: "datetime | None", *, as_json: bool) -> int:
    found = await store.views.incidents(target=wanted.target, provider=wanted.provider, since=since)
    chosen = [each for each in found if wanted.severity in (None, each.incident.severity)]
    with Table(INCIDENTS, title="Incidents", label="incident", now=session.clock()) as table:
        for each in chosen:
            if as_json:
                streams.put_record({"record": "incident"} | records.incident(each))
            else:
                table.add(*_incident_cells(each))
    return len(chosen)


async def _show_alerts(store: "Store", wanted: AlertFilter, *, as_json: bool) -> int:
    count = 0
    with Table(ALERTS, title="Alerts", label="alert", now=session.clock()) as table:
        async for each in store.views.alerts(wanted):
            count += 1
            if as_json:
                streams.put_record({"record": "alert"} | records.alert(each))
            else:
                table.add(*_alert_cells(each))
    return count


def _incident_cells(each: "IncidentView") -> "list[Cell]":
    incident = each.incident
    return [
        incident.key.provider,
        incident.key.error_type,
        incident.severity.value,
        incident.state.value,
        incident.since,
        incident.users,
        f"{incident.share:.1%}",
        incident.broken,
        incident.cause.value,
        each.reason,
        incident.resolved_at,
        incident.key.target,
    ]


def _alert_cells(each: "AlertView") -> "list[Cell]":
    alert = each.alert
    about = f"{alert.kind.value} {alert.slot.resource}" if alert.slot.resource else alert.kind.value
    return [
        str(alert.user.user_id),
        alert.provider or None,
        about,
        alert.error_type,
        alert.severity.value,
        alert.state.value,
        alert.began_at,
        each.reason,
        alert.due_at,
        each.resolved_at,
        str(alert.incident_id)[:8] if alert.incident_id else None,
        alert.user.target,
    ]

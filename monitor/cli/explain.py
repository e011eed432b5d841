"""``monitor explain``: one user's story for a person: what was seen, what was decided and why, what is due next."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from monitor.cli import moments, records, session, streams
from monitor.cli.chronicle import told
from monitor.cli.history import target_of
from monitor.cli.options import OnlyTarget, UserId
from monitor.cli.tables import Column, Table
from monitor.core.alerting import AlertState, unraised
from monitor.ports import AlertFilter, TransitionFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from uuid import UUID

    from monitor.config import Config
    from monitor.core.model import Transition
    from monitor.core.policy import Policy
    from monitor.core.target_health import TargetHealth
    from monitor.ports import AlertView, ConnectionView, Member, Store

TIMELINE = (
    Column(title="time", whole=True),
    Column(title="provider", whole=True),
    Column(title="what", whole=True),
    Column(title="why"),
)
WORDS = {
    AlertState.PENDING: "alert waits",
    AlertState.FIRING: "alert fires",
    AlertState.RESOLVED: "alert resolved",
    AlertState.WITHDRAWN: "alert withdrawn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the story; ``order`` puts what was decided after what it was decided on."""

    at: "datetime"
    order: int
    provider: str | None
    what: str
    why: str


def explain(ctx: typer.Context, user_id: UserId, target: OnlyTarget = None) -> None:
    """Tell one user's story: what was seen when, what was decided and why, what is due next."""
    user = session.user_ids([user_id])[0]
    config = session.configuration(ctx)
    name = session.target_filter(config, target)
    if not session.run(_explain(config, name, user)):
        raise typer.Exit(1)


async def _explain(config: "Config", target: str | None, user: "UUID") -> bool:
    from monitor.app.policy import alert_policy  # noqa: PLC0415 - keeps the program's start quick

    policy, now = alert_policy(config), session.clock()
    async with session.opened(config) as store:
        name = await target_of(store, [target] if target else list(config.targets), user)
        member = name and await store.cohort.member(name, user)
        if not name or not member:
            streams.note(f"{user}: not known to {target or 'any target'}")
            return False
        for each in (*_about(member, now), *_target_problems(await store.views.health(), name, now)):
            streams.put_line(each)
        views = [each async for each in store.views.connections(target=name, user_id=user)]
        alerts = [each async for each in store.views.alerts(AlertFilter(target=name, user_id=user))]
        _show_connections(views, now)
        for each in _doubted(member, now):
            streams.put_line(each)
        await _show_timeline(store, name, user, policy, alerts)
        for next_step in _next(member, alerts, now):
            streams.put_line(next_step)
    return True


def _about(member: "Member", now: "datetime") -> "Iterator[str]":
    reason = f" ({member.reason})" if member.reason and not member.failures else ""
    yield f"user      {member.user_id} of {member.target}: {records.member_state(member)}{reason}"
    yield f"known     since {_when(member.registered_at, now)}"
    seen = _when(member.observed_at, now) if member.observed_at else "never"
    failures = f", {member.failures} polls since showed nothing" if member.failures else ""
    yield f"seen      {seen}{failures}"
    if member.failures and member.outcome and member.failed_at:
        why = f" ({member.reason})" if member.reason else ""
        yield f"failed    {member.outcome}{why}, {_when(member.failed_at, now)}"


def _target_problems(health: "Mapping[str, TargetHealth]", target: str, now: "datetime") -> "Iterator[str]":
    """Say what is wrong with the user's target as a whole."""
    for verdict in health[target].verdicts.values() if target in health else ():
        provider = f" ({verdict.provider})" if verdict.provider else ""
        since = _when(verdict.since, now)
        yield f"target    {verdict.fault.reason}{provider} since {since}: {verdict.fault.description}"


def _doubted(member: "Member", now: "datetime") -> "Iterator[str]":
    """Say what the last answers lacked, and that it is not yet believed."""
    waits = "not believed before a second answer confirms it"
    for provider, doubt in sorted(member.doubts.connections.items()):
        yield f"missing   {provider}, since {_when(doubt.since, now)}: {waits}"
    if member.doubts.not_found:
        yield f"missing   the user, since {_when(member.doubts.not_found.since, now)}: {waits}"


def _show_connections(found: "list[ConnectionView]", now: "datetime") -> None:
    for each in found:
        row = each.connection
        error = f" {row.error_type or 'unspecified'}" if row.in_error else ""
        lacking = sorted(name for name, word in row.resources.items() if word != "available")
        lacks = f"; without {', '.join(lacking)}" if lacking else ""
        streams.put_line(f"now       {row.provider}: {row.status}{error} since {_when(each.since, now)}{lacks}")


async def _show_timeline(
    store: "Store", target: str, user: "UUID", policy: "Policy", alerts: "list[AlertView]"
) -> None:
    found = [each async for each in store.views.transitions(TransitionFilter(target=target, user_id=user))]
    begun = {each.alert.began_by for each in alerts}
    lines = [_seen(each, policy, decided=each.id in begun) for each in found]
    lines += [line for each in alerts for line in _decided(each)]
    with Table(TIMELINE, title="What happened") as table:
        for line in sorted(lines, key=lambda each: (each.at, each.order)):
            table.add(f"{moments.plain(line.at)}", line.provider, line.what, line.why)


def _seen(each: "Transition", policy: "Policy", *, decided: bool) -> Line:
    silent = unraised(policy, each)
    why = told(each) if decided or silent is None or silent == "not a fault" else f"{told(each)}; no alert: {silent}"
    return Line(at=each.observed_at, order=0, provider=each.provider, what=each.kind.value, why=why)


def _decided(each: "AlertView") -> "Iterator[Line]":
    alert = each.alert
    named = f"{alert.severity.value} {alert.kind.value}"
    if alert.fired_at:
        member = f", member of incident {alert.incident_id}" if alert.incident_id else ""
        why = f"{named}: {each.fired_reason or each.reason}{member}"
        yield _line(alert.fired_at, 1, each, AlertState.FIRING, why)
    if each.resolved_at:
        yield _line(each.resolved_at, 2, each, alert.state, f"{named}: {each.reason}")


def _line(at: "datetime", order: int, each: "AlertView", state: AlertState, why: str) -> Line:
    return Line(at=at, order=order, provider=each.alert.provider or None, what=WORDS[state], why=why)


def _next(member: "Member", alerts: "list[AlertView]", now: "datetime") -> "Iterator[str]":
    for each in alerts:
        alert = each.alert
        if alert.is_open and alert.due_at:
            does = "fires" if alert.state is AlertState.PENDING else "ends, if it stays quiet,"
            about = f"{alert.provider or 'user'} {alert.kind.value}"
            yield f"due       the {about} alert {does} {_when(alert.due_at, now)}: {each.reason}"
        elif alert.is_open:
            yield f"open      the {alert.provider or 'user'} {alert.kind.value} alert, until it heals"
    if records.is_polled(member):
        yield f"due       the next poll {_when(member.next_poll_at, now)}"
    else:
        yield "due       nothing: the user is not polled"


def _when(moment: "datetime", now: "datetime") -> str:
    return f"{moments.plain(moment)} ({moments.relative(moment, now)})"

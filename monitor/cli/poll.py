"""``monitor poll``: ask now, for these users or for all."""

import contextlib
from typing import TYPE_CHECKING

import typer

from monitor.cli import session, streams
from monitor.cli.chronicle import Chronicle
from monitor.cli.cohort.membership import counted
from monitor.cli.options import AnyUserIds, Json, Target
from monitor.core.model import OBSERVED, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.app.once import PollSummary
    from monitor.core.model import Transition

GOOD = OBSERVED | {Outcome.GONE}


def poll(ctx: typer.Context, user_ids: AnyUserIds = None, target: Target = None, as_json: Json = False) -> None:
    """Poll these users, or all active ones, once, and print their transitions."""
    users = session.user_ids(user_ids or ())
    config = session.configuration(ctx)
    name = session.one_target(config, target)
    chronicle = Chronicle(as_json=as_json)

    def show(transitions: "Sequence[Transition]") -> None:
        # What is polled must not depend on who reads: a closed pipe ends the printing only.
        with contextlib.suppress(typer.Exit):
            chronicle.write_all(transitions)

    from monitor.app.once import poll_once  # noqa: PLC0415 - keeps the program's start quick

    summary = session.run(poll_once(config, name, users or None, show))
    _report(summary, name)
    if summary.unpolled or summary.rejected or set(summary.outcomes) - GOOD:
        raise typer.Exit(1)


def _report(summary: "PollSummary", target: str) -> None:
    outcomes = ", ".join(
        f"{number:,} {outcome.value}" for outcome, number in sorted(summary.outcomes.items()) if number
    )
    streams.note(f"polled {counted(summary.polled)} of {target}{': ' if outcomes else ''}{outcomes}")
    for each in sorted(summary.unpolled):
        streams.note(f"{each}: not polled, it is no active user of {target} or another process has it in hand")
    if summary.rejected:
        streams.note(f"monitor: {target}: {summary.rejected}")

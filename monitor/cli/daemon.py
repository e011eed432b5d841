"""``monitor run``: the daemon."""

import typer

from monitor.cli import session


def run(ctx: typer.Context) -> None:
    """Poll every active user of the cohort until SIGTERM or SIGINT, then drain and end."""
    config = session.configuration(ctx)

    from monitor.app.daemon import run as run_daemon  # noqa: PLC0415 - keeps the program's start quick

    raise typer.Exit(run_daemon(config))

"""``monitor run``: the daemon."""

import typer

from monitor.cli import session, streams
from monitor.errors import MonitorError


def run(ctx: typer.Context) -> None:
    """Poll every active user of the cohort until SIGTERM or SIGINT, then drain and end."""
    config = None
    try:
        config = session.configuration(ctx)

        from monitor.app.daemon import run as run_daemon  # noqa: PLC0415 - keeps the program's start quick

        raise typer.Exit(run_daemon(config))
    except (MonitorError, OSError) as error:
        if not streams.on_terminal():  # a person reads standard error; a collector of logs reads only this
            from monitor.app.daemon import refuse  # noqa: PLC0415 - keeps the program's start quick

            refuse(error, config)
        raise

"""All commands, put together."""

from pathlib import Path
from typing import Annotated

import typer

from monitor import __version__
from monitor.cli import (
    alerts,
    backtest,
    cohort,
    configuration,
    daemon,
    database,
    demo,
    explain,
    health,
    history,
    poll,
    simulate,
    status,
    streams,
    transitions,
)
from monitor.cli.program import Program
from monitor.cli.session import Invocation


def build() -> typer.Typer:
    """Return the program."""
    program = typer.Typer(
        cls=Program,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    program.callback()(invocation)
    program.command("run")(daemon.run)
    program.command("health")(health.health)
    program.command("poll")(poll.poll)
    program.command("demo")(demo.demo)
    program.command("simulate")(simulate.simulate)
    program.add_typer(cohort.build(), name="cohort")
    program.command("status")(status.status)
    program.command("history")(history.history)
    program.command("transitions")(transitions.transitions)
    program.command("alerts")(alerts.alerts)
    program.command("explain")(explain.explain)
    program.command("backtest")(backtest.backtest)
    program.add_typer(database.build(), name="db")
    program.add_typer(configuration.build(), name="config")
    return program


def _print_version(wanted: bool) -> None:
    if wanted:
        streams.put(f"monitor {__version__}\n")
        raise typer.Exit


Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="PATH", help="Else $MONITOR_CONFIG, else ./config.yaml where it exists."),
]
Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]


def invocation(ctx: typer.Context, config: Config = None, version: Version = False) -> None:
    """Watch the health of Junction connections: poll a cohort, store what changed, alert on it."""
    del version
    ctx.obj = Invocation(config_path=config)

"""``monitor config``: what is configured."""

import json
from typing import TYPE_CHECKING

import typer

from monitor.cli import session, streams

if TYPE_CHECKING:
    from monitor.config import Config


def build() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="The configuration: check, show, schema.")
    for command in (check, show, schema):
        group.command()(command)
    return group


def check(ctx: typer.Context) -> None:
    """Validate the configuration; every fault is a line."""
    config = session.configuration(ctx)

    from monitor.tls import check_authorities  # noqa: PLC0415 - keeps the program's start quick

    check_authorities()
    streams.note(_told(config))


def show(ctx: typer.Context) -> None:
    """Print the effective configuration as YAML, secrets masked."""
    config = session.configuration(ctx)

    from monitor.config import show as yaml_of  # noqa: PLC0415 - keeps the program's start quick

    streams.put(yaml_of(config))


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from monitor.config import schema as json_schema  # noqa: PLC0415 - keeps the program's start quick

    streams.put(json.dumps(json_schema(), indent=2) + "\n")


def _told(config: "Config") -> str:
    names = list(config.require_targets())
    return f"OK: {len(names)} target{'' if len(names) == 1 else 's'} ({', '.join(names)})"

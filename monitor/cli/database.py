"""``monitor db``: the schema."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import session, streams

if TYPE_CHECKING:
    from monitor.store import Schema

Revision = Annotated[str, typer.Argument(metavar="REV", show_default=False)]
ToRevision = Annotated[str, typer.Argument(metavar="[REV]", help="Up to this revision instead of the newest.")]


def build() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="The database's schema: upgrade, downgrade, current, check.")
    for command in (upgrade, downgrade, current, check):
        group.command()(command)
    return group


def upgrade(ctx: typer.Context, revision: ToRevision = "head") -> None:
    """Bring the schema up to the newest revision."""
    schema = _schema(ctx)
    schema.upgrade(revision)
    streams.note(f"the schema is at {schema.current() or 'base'}")


def downgrade(ctx: typer.Context, revision: Revision) -> None:
    """Bring the schema down to a revision; base removes everything."""
    schema = _schema(ctx)
    schema.downgrade(revision)
    streams.note(f"the schema is at {schema.current() or 'base'}")


def current(ctx: typer.Context) -> None:
    """Print the revision that the schema is at."""
    streams.put(f"{_schema(ctx).current() or 'base'}\n")


def check(ctx: typer.Context) -> None:
    """Check that the schema is what this program was built for; every difference is a line."""
    schema = _schema(ctx)
    schema.require_head()
    differences = schema.check()
    if differences:
        streams.note("\n".join(differences))
        raise typer.Exit(1)
    streams.note(f"OK: the schema is at {schema.head}, as this program needs it")


def _schema(ctx: typer.Context) -> "Schema":
    config = session.configuration(ctx)

    from monitor.store import Schema  # noqa: PLC0415 - keeps the program's start quick

    return Schema(config.database.address)

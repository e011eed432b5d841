"""``monitor db``: the schema."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import session, streams

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.core.tally import Key
    from monitor.ports import Recounted
    from monitor.store import Schema

Revision = Annotated[str, typer.Argument(metavar="REV", show_default=False)]
Repair = Annotated[bool, typer.Option("--repair", help="Set counts that are wrong right.")]
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


def check(ctx: typer.Context, repair: Repair = False) -> None:
    """Check that the schema is what this program was built for, and that the counts are those of what is stored.

    Every difference is a line.
    """
    schema = _schema(ctx)
    schema.require_head()
    differences = schema.check()
    if differences:
        streams.note("\n".join(differences))
        raise typer.Exit(1)
    wrong = session.run(_check_counts(session.configuration(ctx), repair=repair))
    for line in wrong:
        streams.note(line)
    if wrong and not repair:
        streams.note("monitor: the counts are wrong; run: monitor db check --repair")
        raise typer.Exit(1)
    right = f"{len(wrong)} counts are repaired" if wrong else "the counts are right"
    streams.note(f"OK: the schema is at {schema.head}, as this program needs it; {right}")


async def _check_counts(config: "Config", *, repair: bool) -> list[str]:
    """Return a line for each count that is wrong, and repair them where that is asked."""
    from monitor.store import open_store  # noqa: PLC0415 - keeps the program's start quick

    store = open_store(config.database.address)
    try:
        found = await store.upkeep.count_differences()
        if repair:
            await store.upkeep.repair_counts(found)
    finally:
        await store.aclose()
    return [_line(key, each) for key, each in sorted(found.items())]


def _line(key: "Key", each: "Recounted") -> str:
    """Return what is wrong with one count; its words are the vendor's."""
    from monitor.core.wording import clean  # noqa: PLC0415 - keeps the program's start quick

    words = " ".join(filter(None, (key.target, key.count, key.a, key.b, key.c)))
    return clean(f"counts: {words}: {each.kept} kept, {each.counted} counted") or ""


def _schema(ctx: typer.Context) -> "Schema":
    config = session.configuration(ctx)

    from monitor.store import Schema  # noqa: PLC0415 - keeps the program's start quick

    return Schema(config.database.address)

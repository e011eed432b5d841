"""``monitor cohort``: who is watched."""

import typer

from monitor.cli.cohort import importing, listing, membership, syncing


def build() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Who is watched: add, import, pause, resume, remove, list, sync.")
    group.command("add")(membership.add)
    group.command("import")(importing.import_)
    group.command("remove")(membership.remove)
    group.command("pause")(membership.pause)
    group.command("resume")(membership.resume)
    group.command("list")(listing.list_)
    group.command("sync")(syncing.sync)
    group.command("erase")(membership.erase)
    return group

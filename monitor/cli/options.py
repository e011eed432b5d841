"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Target = Annotated[
    str | None,
    typer.Option("--target", metavar="NAME", help="Which target; may be left out where only one is configured."),
]
OnlyTarget = Annotated[str | None, typer.Option("--target", metavar="NAME", help="Only this target.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON Lines, times in UTC.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
UserId = Annotated[str, typer.Argument(metavar="USER_ID", show_default=False)]
UserIds = Annotated[list[str], typer.Argument(metavar="USER_ID", show_default=False)]
AnyUserIds = Annotated[list[str] | None, typer.Argument(metavar="USER_ID", show_default=False)]
User = Annotated[str | None, typer.Option("--user", metavar="USER_ID", help="Only this user.")]
Provider = Annotated[str | None, typer.Option("--provider", metavar="SLUG", help="Only this provider.")]

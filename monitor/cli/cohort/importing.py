"""``monitor cohort import``: many users out of a file, in bounded memory."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from monitor.cli import session, streams
from monitor.cli.cohort.membership import counted, told
from monitor.cli.options import Target
from monitor.errors import UsageError
from monitor.ports import ListedUser, Registered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitor.cli.cohort.roster import BadLine
    from monitor.config import Config
    from monitor.ports import Store

CHUNK = 10_000
"""How many users are registered in one transaction."""
SHOWN = 20
"""How many bad lines are shown."""
NOBODY = Registered(added=0, returned=0, known=0)

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="CSV with a header (user_id, perhaps client_user_id), JSON Lines, or one id a line; - is standard input.",
        show_default=False,
    ),
]


@dataclass(slots=True)
class Tally:
    """What the import came to so far."""

    registered: Registered = NOBODY
    bad: int = 0
    shown: list["BadLine"] = field(default_factory=list)

    @property
    def users(self) -> int:
        """How many good lines there were; a user that stands twice was known the second time."""
        return self.registered.added + self.registered.returned + self.registered.known

    def take(self, more: Registered) -> None:
        """Add what one registration came to."""
        self.registered = Registered(
            added=self.registered.added + more.added,
            returned=self.registered.returned + more.returned,
            known=self.registered.known + more.known,
        )

    def reject(self, line: "BadLine") -> None:
        """Add one bad line."""
        self.bad += 1
        if len(self.shown) < SHOWN:
            self.shown.append(line)


def import_(ctx: typer.Context, file: File, target: Target = None) -> None:
    """Register the users that a file lists. Bad lines are reported with their numbers and skipped."""
    from monitor.cli.cohort import roster  # noqa: PLC0415 - keeps the program's start quick

    config = session.configuration(ctx)
    name = session.one_target(config, target)
    tally = Tally()
    with _source(file) as stream:
        entries = roster.read(stream, file)
        with _registering(config, name) as register, _progress(stream) as show:
            for users in _chunks(entries, tally):
                tally.take(register(users))
                show(tally.users)
    _report(tally, name)


def _chunks(entries: "Iterator[ListedUser | BadLine]", tally: Tally) -> "Iterator[Sequence[ListedUser]]":
    while piece := list(islice(entries, CHUNK)):
        users = []
        for each in piece:
            if isinstance(each, ListedUser):
                users.append(each)
            else:
                tally.reject(each)
        yield users


@contextmanager
def _source(file: str) -> "Iterator[BinaryIO]":
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below; only opening it is a fault of usage
    except OSError as error:
        raise UsageError(f"FILE: {file}: {error.strerror}") from error
    with stream:
        yield stream


@contextmanager
def _registering(config: "Config", target: str) -> "Iterator[Callable[[Sequence[ListedUser]], Registered]]":
    """Open the store for calls from outside the event loop: reading blocks, and Ctrl-C must end it at once."""
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:

        async def enter() -> "Store":
            return await stack.enter_async_context(session.opened(config))

        async def register(users: "Sequence[ListedUser]") -> Registered:
            return await store.cohort.register(target, users, now=session.clock(), revive=True)

        store = runner.run(enter())
        try:
            yield lambda users: runner.run(register(users))
        finally:
            runner.run(stack.aclose())


@contextmanager
def _progress(stream: BinaryIO) -> "Iterator[Callable[[int], None]]":
    """Show on a terminal how far the file is read; silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only people at a terminal need it
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        size = _size(stream)
        task = progress.add_task("importing", total=size)

        def show(users: int) -> None:
            done = stream.tell() if size else None
            progress.update(task, completed=done, description=f"imported {counted(users)}")

        yield show


def _size(stream: BinaryIO) -> int | None:
    """Return the size of a regular file, None for a pipe or a terminal."""
    return os.fstat(stream.fileno()).st_size or None if stream.seekable() else None


def _report(tally: Tally, target: str) -> None:
    for each in tally.shown:
        streams.note(f"line {each.number}: {each.reason}")
    if tally.bad > len(tally.shown):
        streams.note(f"… and {tally.bad - len(tally.shown):,} more bad lines")
    bad = f"; {tally.bad:,} bad line{'' if tally.bad == 1 else 's'}" if tally.bad else ""
    streams.note(f"imported {counted(tally.users)} into {target}: {told(tally.registered)}{bad}")
    if tally.bad:
        raise typer.Exit(1)

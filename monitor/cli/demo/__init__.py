"""``monitor demo``: a simulated Junction and the monitor in one process tree, and a verdict at the end."""

from typing import Annotated

import typer

from monitor.cli import session

Users = Annotated[int, typer.Option("--users", metavar="N", min=1, max=100_000, help="How many users.")]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="The same seed makes the same world.")]
Duration = Annotated[str, typer.Option("--duration", metavar="D", help="How long the world changes: 30s, 2m.")]
NoLive = Annotated[bool, typer.Option("--no-live", help="Lines instead of a live view.")]


def demo(users: Users = 200, seed: Seed = 1, duration: Duration = "60s", no_live: NoLive = False) -> None:
    """Watch connections break, be found, be alerted on and heal; nothing outside of this machine is asked."""
    from monitor.cli.demo.play import play  # noqa: PLC0415 - keeps the program's start quick

    seconds = _seconds(duration)
    if not session.run(play(users=users, seed=seed, duration=seconds, live=not no_live)):
        raise typer.Exit(1)


def _seconds(written: str) -> float:
    from monitor.config.duration import parse  # noqa: PLC0415 - keeps the program's start quick

    try:
        seconds = parse(written).total_seconds()
    except ValueError:
        seconds = 0
    if seconds < 5:  # noqa: PLR2004 - shorter, nothing can be seen
        raise typer.BadParameter(f"expected a duration of 5s or more such as 30s or 2m, got {written!r}")
    return seconds

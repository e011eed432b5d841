"""The command line: arguments, tables, progress and exit codes."""

import io
import sys


def main() -> None:
    """Run the command that the program's arguments name, and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to fail
    try:
        from monitor.cli.commands import build  # noqa: PLC0415 - Ctrl-C while this loads is quiet too

        build()(prog_name="monitor")
    except KeyboardInterrupt:
        raise SystemExit(130) from None

"""The two streams: data to standard output, words for people to standard error.

All text leaves through here without control characters, which a terminal would obey: some of it is the vendor's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from monitor.cli.cells import clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


def on_terminal() -> bool:
    """Return whether data goes to a person's terminal."""
    return sys.stdout.isatty()


def put(text: str) -> None:
    """Write lines, perhaps with tabs in them, to standard output; ends the program quietly where its reader is gone.

    Raises:
        typer.Exit: nobody reads any more; nothing failed.
    """
    put_bytes(clean(text, keep="\n\t").encode("utf-8", "replace"))


def put_line(text: str) -> None:
    """Write text, perhaps from outside, as one line to standard output, see :func:`put`."""
    put(f"{clean(text)}\n")


def put_record(record: Mapping[str, Any]) -> None:
    """Write one line of JSON, times in RFC 3339 with ``Z``, texts without control characters."""
    import msgspec  # noqa: PLC0415 - keeps the program's start quick

    put_bytes(msgspec.json.encode(_cleaned(msgspec.to_builtins(record))) + b"\n")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(item) for name, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def put_bytes(data: bytes) -> None:
    """Write bytes to standard output, see :func:`put`."""
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        abandon()
        raise typer.Exit(0) from None


def flush() -> None:
    """Let a reader have what was written so far, see :func:`put`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        abandon()
        raise typer.Exit(0) from None


def note(text: str) -> None:
    """Write a line, or several, for people to standard error."""
    try:
        sys.stderr.write(clean(text, keep="\n") + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _point_to_nothing(sys.stderr)


def abandon() -> None:
    """Let all that is still written to standard output go nowhere, so that the interpreter's end stays quiet."""
    _point_to_nothing(sys.stdout)


def _point_to_nothing(stream: TextIO) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)

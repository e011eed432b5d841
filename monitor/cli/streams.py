"""The two streams: data to standard output, words for people to standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


def on_terminal() -> bool:
    """Return whether data goes to a person's terminal."""
    return sys.stdout.isatty()


def put(text: str) -> None:
    """Write text to standard output; ends the program quietly where its reader is gone.

    Raises:
        typer.Exit: nobody reads any more; nothing failed.
    """
    put_bytes(text.encode("utf-8", "replace"))


def put_record(record: Mapping[str, Any]) -> None:
    """Write one line of JSON, times in RFC 3339 with ``Z``."""
    import msgspec  # noqa: PLC0415 - keeps the program's start quick

    put_bytes(msgspec.json.encode(record) + b"\n")


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
    """Write a line for people to standard error."""
    try:
        sys.stderr.write(f"{text}\n")
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

"""What becomes of a command: its exit code, and one line for everything that a person can mend."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from monitor.cli import streams
from monitor.errors import ConfigurationError, MonitorError, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED = 1
MISUSED = 2
CONFIG_OPTIONS = frozenset({"--config", "-c"})


class Program(TyperGroup):
    """The root of all commands: 0 done, 1 failed while working, 2 bad usage or configuration."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command and exit with its code; no expected error ends in a traceback."""

        def invoke() -> Any:
            return TyperGroup.main(self, args, prog_name, complete_var, False, windows_expand_args, **extra)

        if not standalone_mode:
            return invoke()
        sys.exit(_code_of(invoke))


def _code_of(invoke: Any) -> int:
    try:
        result = invoke()
        streams.flush()
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.Abort:
        streams.note("monitor: not confirmed, nothing was done")
        return FAILED
    except typer.TyperException as error:
        return _report_misuse(error)
    except ConfigurationError as error:
        streams.note("\n".join(error.faults))
        return MISUSED
    except (MonitorError, OSError) as error:
        streams.note(f"monitor: {_one_line(error)}")
        return MISUSED if isinstance(error, UsageError) else FAILED
    return result if isinstance(result, int) else 0


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, StoreUnavailable):
        return error.advice
    return " ".join(str(error).split()) or type(error).__name__


def _report_misuse(error: typer.TyperException) -> int:
    """Write one line for what the library would say in several; help that stands for an error stays as it is."""
    message = error.format_message()
    if message.lstrip().startswith("Usage:"):
        streams.note(message.rstrip())
    elif message:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "monitor"
        streams.note(f"{path}: {_mended(error, path)}")
    return error.exit_code


def _mended(error: typer.TyperException, path: str) -> str:
    """Return what is wrong and what to type instead, as far as it can be told."""
    message = " ".join(str(error.message or error.format_message()).split()).rstrip(".")
    if hasattr(error, "possibilities"):
        if getattr(error, "option_name", None) in CONFIG_OPTIONS:
            return f"{message}; it stands before the command: monitor --config PATH …"
        if error.possibilities:
            return f"{message}. Did you mean {' or '.join(error.possibilities)}?"
    else:
        message = " ".join(error.format_message().split()).rstrip(".")
    return message if message.endswith("?") else f"{message} (see {path} --help)"

"""What every command needs: the configuration, the open database, and the users and targets that were named."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

import typer

from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable
    from pathlib import Path
    from uuid import UUID

    from monitor.config import Config
    from monitor.ports import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What stood before the command."""

    config_path: Path | None = None


def clock() -> datetime:
    """Return the time of day, aware and UTC."""
    return datetime.now(UTC)


def configuration(context: typer.Context) -> Config:
    """Load the configuration that this invocation is for.

    Raises:
        ConfigurationError: it has faults.
    """
    from monitor.config import load  # noqa: PLC0415 - keeps the program's start quick

    before: Invocation = context.obj
    return load(before.config_path, os.environ)


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Store]:
    """Open the store, its schema brought to head where that is the program's to do."""
    from monitor.app.opening import opened as opened_at_head  # noqa: PLC0415 - keeps the program's start quick

    async with opened_at_head(config) as store:
        yield store


def run(main: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine to its end."""
    from monitor.app.opening import run_in_loop  # noqa: PLC0415 - keeps the program's start quick

    return run_in_loop(main)


def one_target(config: Config, name: str | None) -> str:
    """Return the target a command is for.

    Raises:
        UsageError: none was named where there are several, or there is none of that name.
    """
    targets = config.require_targets()
    if name is not None:
        return known_target(targets, name)
    if len(targets) > 1:
        raise UsageError(f"several targets are configured, name one: --target {'|'.join(targets)}")
    return next(iter(targets))


def target_filter(config: Config, name: str | None) -> str | None:
    """Return the one target that was asked for, None for all."""
    return None if name is None else known_target(config.targets, name)


def known_target(targets: Iterable[str], name: str) -> str:
    """Return ``name`` where it is configured.

    Raises:
        UsageError: it is not; the text suggests the nearest.
    """
    names = list(targets)
    if name in names:
        return name
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(names) or 'none is configured'}"
    raise UsageError(f"--target: there is no target {name!r}, {hint}")


def user_ids(texts: Iterable[str]) -> list[UUID]:
    """Return the ids that were typed, each once.

    Raises:
        UsageError: some are not UUIDs.
    """
    from monitor.cli.cohort.roster import quote, user_id  # noqa: PLC0415 - keeps the program's start quick

    parsed = {text: user_id(text.strip()) for text in texts}
    bad = [quote(text) for text, parsed_id in parsed.items() if parsed_id is None]
    if bad:
        raise UsageError(f"USER_ID: expected a UUID, got {', '.join(bad)}")
    return list(dict.fromkeys(each for each in parsed.values() if each is not None))


def user_filter(text: str | None) -> UUID | None:
    """Return the one user that was asked for, None for all."""
    return None if text is None else user_ids([text])[0]


def confirm(question: str, *, yes: bool) -> None:
    """Go on only where a person agrees, at once where ``--yes`` said so.

    Raises:
        UsageError: nobody can be asked.
        typer.Abort: the person did not agree.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: say so with --yes")
    typer.confirm(question, abort=True, err=True)

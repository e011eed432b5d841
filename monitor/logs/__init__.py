"""How events are written: JSON Lines on standard output, or lines for people on a terminal.

Never a key: what is named like a secret or looks like one is masked, wherever it stands. Control characters are
stripped. An ordinary line is written in the background, so that a log that nobody reads holds up nothing; what cannot
be written is lost and counted. An alert line that cannot be written is an error for its caller, since it must be
written again.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import structlog

from monitor import events
from monitor.core.wording import clean
from monitor.logs.outlet import Background, Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

    from monitor.core.telling import Telling

MASK: Final = "**********"
SECRET_NAMES: Final = frozenset(
    {"api_key", "authorization", "x-vital-api-key", "password", "passwd", "secret", "token", "hash_key"}
)
LEVELS: Final = {"info": "info", "warning": "warning", "critical": "error"}
"""The level of an alert's line by its severity."""
UNCUT: Final = frozenset({"exception", "event", "timestamp", "level"})
_KEY: Final = re.compile(r"\b[ps]k_(?:us|eu)_[A-Za-z0-9_-]+")
_URL_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)[^\s@]*@")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

STANDARD_OUTPUT: Final = 1
"""The file descriptor."""
READ_WITHIN: Final = 5.0
"""Seconds that an alert line waits for whoever reads the log."""

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]


def configure(level: Level, format: Format, stream: TextIO | None = None) -> FilteringBoundLogger:  # noqa: A002 - the key's name
    """Return the daemon's logger, on standard output by default, and let the libraries' warnings run into it."""
    if stream is None:
        return configure_daemon(level, format)[0]
    return _bridged(_of_stream(level, format, stream))


def configure_daemon(level: Level, format: Format) -> tuple[FilteringBoundLogger, Background]:  # noqa: A002
    """Do what :func:`configure` does on standard output, and also return what writes the lines, to be watched."""
    logger, background = _daemons_logger(level, format)
    return _bridged(logger), background


def _bridged(logger: FilteringBoundLogger) -> FilteringBoundLogger:
    root = logging.getLogger()
    root.handlers = [_Bridge(logger)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    return logger


def _of_stream(level: Level, format: Format, stream: TextIO) -> FilteringBoundLogger:  # noqa: A002
    return _logger(level, partial(_into, stream), _rendering(format, stream))


def _daemons_logger(level: Level, format: Format) -> tuple[FilteringBoundLogger, Background]:  # noqa: A002
    def lost(lines: int) -> None:
        logger.warning(events.LOG_LOST, lines=lines)

    background = Background(_standard_output(), lost)
    atexit.register(background.finish)
    logger = _logger(level, background.write, _rendering(format, sys.stdout))
    return logger, background


@cache
def _standard_output() -> Outlet:
    """Return the one outlet to standard output, so that lines of alerts and others never mix."""
    return Outlet(STANDARD_OUTPUT)


def stderr(level: Level) -> FilteringBoundLogger:
    """Return a logger for commands: what goes wrong is told to the person at standard error."""
    told = level if level == "error" else "warning"
    return _logger(told, partial(_into, sys.stderr), _console(sys.stderr) if sys.stderr.isatty() else _json)


class AlertLog:
    """The alert log: ``connection.alert`` and ``incident.alert`` lines, flushed one by one."""

    def __init__(
        self,
        format: Format,  # noqa: A002 - the key's name
        *,
        telling: Telling,
        stream: TextIO | None = None,
    ) -> None:
        put = partial(_into, stream) if stream else partial(_standard_output().write, within=READ_WITHIN)
        # Its own logger: whoever asks for less noise still gets every alert.
        self._log = _logger("debug", put, _rendering(format, stream or sys.stdout))
        self._telling = telling

    def write(self, event: str, payload: Mapping[str, Any]) -> None:
        """Write one line and flush it.

        Raises:
            OSError: it could not be written.
        """
        level = LEVELS.get(payload["severity"] or "info", "warning")  # the end of an erased user's alert has none
        getattr(self._log.bind(_must_be_written=True), level)(event, **self._telling.told(payload))


class _Output:
    """Hands finished lines on."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put

    def msg(self, line: str, *, must_be_written: bool = False) -> None:
        """Hand a line on; only where it must be written, a failure is raised."""
        try:
            self._put(line)
        except (OSError, ValueError) as error:
            if must_be_written:
                raise OSError("the alert log cannot be written") from error

    debug = info = warning = error = critical = msg


def _into(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


class _Bridge(logging.Handler):
    """Carries the libraries' records into our lines."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as an event named after its library."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        told: dict[str, Any] = {"message": record.getMessage()}
        if record.exc_info:
            told["exc_info"] = record.exc_info
        getattr(self._logger, level)(f"library.{record.name.split('.')[0]}", **told)


def _rendering(format: Format, stream: TextIO) -> Processor:  # noqa: A002 - the key's name
    for_people = format == "console" or (format == "auto" and stream.isatty())
    return _console(stream) if for_people else _json


def _logger(level: Level, put: Callable[[str], None], render: Processor) -> FilteringBoundLogger:
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _tidy,
        render,
    ]
    bound: FilteringBoundLogger = structlog.wrap_logger(
        _Output(put),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    return bound


def _tidy(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {name: _tidied(name, value) for name, value in event.items()}


def _tidied(name: str, value: Any) -> Any:
    if name.lower() in SECRET_NAMES:
        return MASK
    if isinstance(value, str):
        hidden = _URL_PASSWORD.sub(rf"\1{MASK}@", _KEY.sub(MASK, value))
        return _CONTROL.sub(" ", hidden) if name in UNCUT else clean(hidden)
    if isinstance(value, dict):
        return {str(key): _tidied(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_tidied(name, each) for each in value]
    return value


def _json(_: WrappedLogger, __: str, event: EventDict) -> tuple[tuple[str], dict[str, bool]]:
    must = bool(event.pop("_must_be_written", False))
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    line = json.dumps({**first, **event}, ensure_ascii=False, default=str, separators=(", ", ": "))
    return (line.encode("utf-8", "replace").decode(),), {"must_be_written": must}


def _console(stream: TextIO) -> Processor:
    render = structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)

    def rendered(logger: WrappedLogger, name: str, event: EventDict) -> tuple[tuple[str], dict[str, bool]]:
        must = bool(event.pop("_must_be_written", False))
        return (str(render(logger, name, event)),), {"must_be_written": must}

    return rendered

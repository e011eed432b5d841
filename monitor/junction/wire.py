"""What a user's connections look like on the wire, read once into a snapshot.

All rows good is the common case and one decode. Where that fails, each row and each part of a row is decoded by
itself with the same types, so that a fault costs the part it is in and nothing beside it.

What comes out of here can be stored by every database and computed with: texts are valid Unicode without NUL and of
bounded length, times are in UTC and between 1970 and 2200.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from monitor.core.model import CONNECTED, ERROR, Connection, Snapshot, plausible_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_WORD: Final = 200
"""Words become labels and index keys. A longer slug or status is unusable; any other longer word is left out."""
LONGEST_TEXT: Final = 2000
"""Of free text. A longer message is cut: people see 500 characters of it. A longer ``external_user_id`` is left out."""
MOST_ROWS: Final = 1000
"""More are no user's connections: such an answer is malformed as a whole."""
KNOWN_STATUSES: Final = frozenset({CONNECTED, ERROR, "paused"})
"""Recognised in any letter case; every other status is kept as sent."""
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)

_SUSPICIOUS: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Most bodies have none of it, and need no look at each of their escapes."""
_ESCAPE: Final = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}   # a surrogate pair, which is one character
        | (?P<unstorable> u0000 | u[dD][89a-fA-F][0-9a-fA-F]{2} )   # NUL, or half a pair
        | .                                                         # any other; an escaped backslash begins none
    )""",
    re.DOTALL | re.VERBOSE,
)
_REPLACEMENT: Final = rb"\ufffd"

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WORD)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
T = TypeVar("T")


class Availability(msgspec.Struct, gc=False):
    """Whether one resource can be had."""

    status: Word


class Details(msgspec.Struct, gc=False):
    """Why a connection is in ``error``."""

    error_type: Word | None = None
    error_message: str | None = None
    errored_at: datetime | None = None


class Row(msgspec.Struct):
    """One connection, without what nobody asks for (name, logo, scopes)."""

    slug: Word
    status: Word
    created_on: datetime | None = None
    external_user_id: Text | None = None
    error_details: Details | None = None
    resource_availability: dict[Word, Availability] | None = None


Rows = Annotated[list[Row], msgspec.Meta(max_length=MOST_ROWS)]


class Providers(msgspec.Struct):
    """The whole answer where every row is good."""

    providers: Rows


NOTHING: Final = msgspec.Raw(b"null")


class RawDetails(msgspec.Struct):
    """Details of which any part may be bad."""

    error_type: msgspec.Raw = NOTHING
    error_message: msgspec.Raw = NOTHING
    errored_at: msgspec.Raw = NOTHING


class RawRow(msgspec.Struct):
    """A row of which any part may be bad."""

    slug: msgspec.Raw = NOTHING
    status: msgspec.Raw = NOTHING
    created_on: msgspec.Raw = NOTHING
    external_user_id: msgspec.Raw = NOTHING
    error_details: msgspec.Raw = NOTHING
    resource_availability: msgspec.Raw = NOTHING


class RawProviders(msgspec.Struct):
    """The whole answer where any row may be bad."""

    providers: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_ROWS)]


_GOOD: Final = msgspec.json.Decoder(Providers)
_ANY: Final = msgspec.json.Decoder(RawProviders)
_ROW: Final = msgspec.json.Decoder(RawRow | None)
_WORD: Final = msgspec.json.Decoder(Word | None)
_TEXT: Final = msgspec.json.Decoder(Text | None)
_MESSAGE: Final = msgspec.json.Decoder(str | None)
_TIME: Final = msgspec.json.Decoder(datetime | None)
_DETAILS: Final = msgspec.json.Decoder(RawDetails | None)
_RESOURCES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_AVAILABILITY: Final = msgspec.json.Decoder(Availability | None)


def read(body: bytes, external_user_id: Callable[[str], str | None]) -> Snapshot | None:
    """Return what ``body`` shows, or None where it is malformed as a whole.

    Args:
        body: the body of a 200.
        external_user_id: what is kept of an ``external_user_id``, which is personal data.
    """
    try:
        rows = _rows(storable(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    connections: dict[str, Connection] = {}
    malformed = 0
    for row in rows:
        if row is None or not row.slug.strip() or not row.status.strip():
            malformed += 1
            continue
        connection = _connection(row, external_user_id)
        rival = connections.get(row.slug)
        connections[row.slug] = connection if rival is None else max(rival, connection, key=_rank)
    return Snapshot(connections=connections, complete=not malformed, malformed_rows=malformed)


def storable(body: bytes) -> bytes:
    """Return ``body`` with U+FFFD for what no database can hold: escaped NULs and halves of surrogate pairs.

    Done before decoding, since the decoder refuses a whole body for half a pair, also in keys that it skips.

    Raises:
        UnicodeDecodeError: it is not UTF-8 (the decoder does not check what it skips).
    """
    if not body.isascii():
        body.decode()
    return _ESCAPE.sub(_without_unstorable, body) if _SUSPICIOUS.search(body) else body


def _without_unstorable(escape: re.Match[bytes]) -> bytes:
    return _REPLACEMENT if escape["unstorable"] else escape[0]


def part(decoder: msgspec.json.Decoder[T | None], raw: msgspec.Raw) -> T | None:
    """Return what ``raw`` says, or None where it is not what ``decoder`` reads."""
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError:
        return None


def _rows(body: bytes) -> Iterable[Row | None]:
    try:
        return _GOOD.decode(body).providers
    except msgspec.ValidationError:
        return [_patient(raw) for raw in _ANY.decode(body).providers]


def _patient(raw: msgspec.Raw) -> Row | None:
    row = part(_ROW, raw)
    if row is None:
        return None
    slug, status = part(_WORD, row.slug), part(_WORD, row.status)
    if slug is None or status is None:
        return None
    return Row(
        slug=slug,
        status=status,
        created_on=part(_TIME, row.created_on),
        external_user_id=part(_TEXT, row.external_user_id),
        error_details=_details(row.error_details),
        resource_availability=_resources(row.resource_availability),
    )


def _details(raw: msgspec.Raw) -> Details | None:
    details = part(_DETAILS, raw)
    if details is None:
        return None
    return Details(
        error_type=part(_WORD, details.error_type),
        error_message=part(_MESSAGE, details.error_message),
        errored_at=part(_TIME, details.errored_at),
    )


def _resources(raw: msgspec.Raw) -> dict[str, Availability]:
    named = ((name, part(_AVAILABILITY, each)) for name, each in (part(_RESOURCES, raw) or {}).items())
    return {name: each for name, each in named if each is not None and 0 < len(name) <= LONGEST_WORD}


def _connection(row: Row, external_user_id: Callable[[str], str | None]) -> Connection:
    status = row.status if row.status in KNOWN_STATUSES else _recognised(row.status)
    details = row.error_details if status == ERROR else None
    message = details.error_message if details else None
    resources = row.resource_availability
    return Connection(
        provider=row.slug,
        status=status,
        created_on=usable_time(row.created_on),
        error_type=details.error_type if details else None,
        error_message=message[:LONGEST_TEXT] if message else message,
        errored_at=usable_time(details.errored_at) if details else None,
        external_user_id=external_user_id(row.external_user_id) if row.external_user_id else None,
        resources={name: each.status for name, each in resources.items()} if resources else {},
    )


def _recognised(status: str) -> str:
    lowered = status.lower()
    return lowered if lowered in KNOWN_STATUSES else status


def usable_time(time: datetime | None) -> datetime | None:
    """Return a date of the vendor's in UTC, None where it is implausible; a naive one is in UTC."""
    if time is None:
        return None
    if time.tzinfo is None:
        return plausible_time(time.replace(tzinfo=UTC))
    try:
        return plausible_time(time.astimezone(UTC))
    except OverflowError:  # of the years 1 and 9999, by the offset
        return None


def _rank(connection: Connection) -> tuple[Any, ...]:
    """Order the rows of one slug: the contract's two rules, then anything that does not hang on their order."""
    return (
        connection.in_error,
        connection.created_on or EARLIEST,
        connection.errored_at or EARLIEST,
        connection.status,
        connection.error_type or "",
        connection.error_message or "",
        connection.external_user_id or "",
        sorted(connection.resources.items()),
    )

"""Requests and replies of HTTP/1.1 as values, and how they look in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

HEADERS_END: Final = b"\r\n\r\n"
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
"""Statuses after which a client reads no body: bytes that follow would be taken for the next answer."""
JSON: Final = "application/json"


class Request(NamedTuple):
    """One request, read completely."""

    method: str
    path: str
    query: str
    key: str | None
    body: bytes
    keep_alive: bool


class Manner(StrEnum):
    """How the bytes of a reply go out, and what becomes of the connection."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"
    DRIP = "drip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request gets.

    ``user_id`` is who it was about, ``gap`` the seconds between dripping bytes. What is not ``counted`` is no traffic.
    """

    code: str
    payload: bytes
    user_id: str | None = None
    manner: Manner = Manner.KEEP
    delay: float = 0.0
    gap: float = 0.0
    counted: bool = True


def encode(
    code: int,
    body: bytes,
    *,
    media: str = JSON,
    headers: tuple[tuple[str, str], ...] = (),
    length: int | None = None,
    chunked: bool = False,
) -> bytes:
    """Return a response; ``length`` overrides the declared one."""
    body = b"" if code in _BODILESS else body
    size = "transfer-encoding: chunked" if chunked else f"content-length: {len(body) if length is None else length}"
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {code} {reason(code)}\r\nserver: simulated-junction\r\ncontent-type: {media}\r\n"
    return f"{head}{size}\r\n{extra}\r\n".encode() + body


def reason(code: int) -> str:
    """Return the standard phrase of a status code, also where it has none of its own."""
    return _REASONS.get(code, "Unassigned")


def chunk(part: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def body_of(payload: bytes) -> bytes:
    """Return the body of an encoded response."""
    return payload.partition(HEADERS_END)[2]

"""A response's body, read within a bound and decompressed within the same bound."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, TypeGuard, cast

import httpx

from monitor.junction.connection import Exchange, TooLarge
from monitor.junction.request import Got

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
PLAIN: Final = frozenset({b"", b"identity"})
COMPRESSED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


class Unreadable(Exception):  # noqa: N818 - it names what the body is
    """A body that says nothing; the text says why."""


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Return the body, at most ``limit`` bytes both as sent and decompressed.

    Raises:
        Unreadable: it is larger, cut off, or compressed in a way nobody asked for.
        httpx.TransportError: the connection broke.
    """
    declared, encoding = _declared(response)
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    stream = _stream(response)
    sent = stream.body() if _is_whole(stream) else await _bounded(stream, limit)
    return sent if encoding in PLAIN or not sent else _decompressed(sent, encoding, limit)


async def give_back(response: httpx.Response) -> None:
    """Free the connection under ``response``, or close it where the body was not read to its end."""
    stream = _stream(response)
    if not _is_whole(stream):
        await stream.aclose()  # the response's own aclose does no more, and costs more


def _is_whole(stream: httpx.AsyncByteStream) -> TypeGuard[Exchange]:
    return isinstance(stream, Exchange) and stream.whole


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    return cast("httpx.AsyncByteStream", response.stream)  # an asynchronous transport returns no other


def _declared(response: httpx.Response) -> tuple[bytes, bytes]:
    length = encoding = b""
    raw = response.raw if isinstance(response, Got) else response.headers.raw
    for name, value in raw:  # once through; a look-up by name decodes all of them each time
        lowered = name.lower()
        if lowered == b"content-length":
            length = value
        elif lowered == b"content-encoding":
            encoding = value.strip().lower()
    return length, encoding


async def _bounded(stream: AsyncIterable[bytes], limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except (httpx.RemoteProtocolError, TooLarge) as fault:
        raise Unreadable(str(fault)) from fault
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _decompressed(sent: bytes, encoding: bytes, limit: int) -> bytes:
    if encoding not in COMPRESSED:
        raise Unreadable("the body has a content-encoding that was not asked for")
    decoder = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        body = decoder.decompress(sent, limit + 1)
    except zlib.error as fault:
        raise Unreadable("the body does not decompress") from fault
    if len(body) > limit:
        raise _too_large(limit)
    if not decoder.eof or decoder.unused_data:
        raise Unreadable("the body does not end where its compression does")
    return body


def _too_large(limit: int) -> Unreadable:
    return Unreadable(f"the body is larger than {limit} bytes")

"""A response's body, read within a bound and decompressed within the same bound."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, cast

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
PLAIN: Final = frozenset({"", "identity"})
COMPRESSED: Final = frozenset({"gzip", "x-gzip", "deflate"})
MAX_LENGTH_DIGITS: Final = 20
"""Python refuses to read numbers of thousands of digits, and no body needs so many."""


class Unreadable(Exception):  # noqa: N818 - it names what the body is
    """A body that says nothing; the text says why."""


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Return the body, at most ``limit`` bytes both as sent and decompressed.

    Raises:
        Unreadable: it is larger, cut off, or compressed in a way nobody asked for.
        httpx.TransportError: the connection broke.
    """
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:MAX_LENGTH_DIGITS]) > limit:
        raise _too_large(limit)
    # The stream itself: aiter_bytes would decompress without a bound, and aiter_raw costs more.
    sent = await _bounded(cast("httpx.AsyncByteStream", response.stream), limit)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return sent if encoding in PLAIN or not sent else _decompressed(sent, encoding, limit)


async def _bounded(stream: AsyncIterable[bytes], limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except httpx.RemoteProtocolError as fault:
        raise Unreadable(str(fault)) from fault
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _decompressed(sent: bytes, encoding: str, limit: int) -> bytes:
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

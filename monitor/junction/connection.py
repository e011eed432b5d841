"""One connection: one request at a time, its answer parsed by llhttp as it comes, within bounds.

An answer of 200 is handed over when it is whole, since half of one is of no use; any other as soon as its head is
there, since the head alone says what it means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_HEAD_BYTES: Final = 64 * 1024
NO_HTTP: Final = "the answer is not HTTP"
UNANSWERED: Final = "the connection broke before an answer came"
OK: Final = 200
FINAL: Final = 200
"""Statuses below are interim answers, but for the one that ends HTTP."""
UPGRADED: Final = 101
WITHOUT_BODY: Final = frozenset({204, 304})


class Exchange(httpx.AsyncByteStream):
    """One request and what came back so far; also the stream of the body, in one piece when it is whole."""

    __slots__ = ("_chunks", "_connection", "_given", "_more", "_size", "fault", "head", "headers", "status", "whole")

    def __init__(self, connection: Connection, head: asyncio.Future[None]) -> None:
        self.head = head
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.fault: httpx.TransportError | None = None
        self.whole = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._given = False
        self._more: asyncio.Future[None] | None = None

    def __aiter__(self) -> Exchange:
        """Read the body; no generator, for the loop keeps a register of those."""
        return self

    async def __anext__(self) -> bytes:
        """Return all of the body, once.

        Raises:
            httpx.RemoteProtocolError: the other side ended the body before its end.
            httpx.ReadError: the connection broke, or the body is larger than what is read.
        """
        if not (self.whole or self.fault):
            self._more = self.head.get_loop().create_future()
            await self._more
        if self.fault is not None:
            raise self.fault
        if self._given:
            raise StopAsyncIteration
        self._given = True
        return self.body()

    def body(self) -> bytes:
        """Return what has come of the body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    async def aclose(self) -> None:
        """Close the connection where the body is not whole; else it serves the next request already."""
        if not (self.whole or self.fault):
            self._connection.close()

    def began(self, status: int) -> None:
        """Take in that the head is there."""
        self.status = status
        if status != OK:
            self._tell()

    def took(self, chunk: bytes, limit: int) -> None:
        """Take in a piece of the body; more than ``limit`` bytes are a fault."""
        self._size += len(chunk)
        if self._size > limit:
            self.fail(TooLarge(limit))
        elif self.fault is None:
            self._chunks.append(chunk)

    def ended(self) -> None:
        """Take in that the body is whole."""
        self.whole = True
        self._tell()

    def fail(self, fault: httpx.TransportError) -> None:
        """Take in that no more will come."""
        if not (self.whole or self.fault):
            self.fault = fault
            self._tell()

    def _tell(self) -> None:
        if not self.head.done():
            if self.fault is not None and not self.status:
                self.head.set_exception(self.fault)
            else:
                self.head.set_result(None)
        if self._more is not None and not self._more.done() and (self.whole or self.fault):
            self._more.set_result(None)


class TooLarge(httpx.ReadError):
    """The body is larger than what is read of one."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class Connection(asyncio.Protocol):
    """A connection that is kept alive from one exchange to the next; ``settled`` is called once for each."""

    def __init__(self, limit: int, settled: Callable[[Connection, bool], None]) -> None:
        self._limit = limit
        self._settled = settled
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._head_bytes = 0
        self._in_head = True
        self._interim = False
        self._length: int | None = None
        self._chunked = False
        self._keeps = False
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes) -> Exchange:
        """Send a request; the head of the exchange is done when there is an answer, or a fault instead."""
        assert self._transport is not None  # noqa: S101 - it is connected
        self._exchange = exchange = Exchange(self, asyncio.get_running_loop().create_future())
        if self.is_open:
            self._transport.write(request)
        else:
            self._fail(httpx.ReadError(UNANSWERED))
        return exchange

    def close(self) -> None:
        """Close at once; what is in flight fails."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(httpx.ReadError("the connection was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        exchange = self._exchange
        if exchange is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            exchange.ended()
            self._end(reusable=False)
        except httptools.HttpParserError:
            self._break(httpx.ReadError(NO_HTTP))
        else:
            self._bound(exchange, len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what the end of the connection makes of what is in flight."""
        exchange = self._exchange
        if exchange is None:
            self._settled(self, False)
        elif exc is None and exchange.status and self._until_close:
            exchange.ended()
            self._end(reusable=False)
        elif exc is None and exchange.status:
            self._fail(httpx.RemoteProtocolError("the body was cut off"))
        else:
            fault = httpx.ReadError("the connection broke in the middle of the body" if exchange.status else UNANSWERED)
            fault.__cause__ = exc
            self._fail(fault)

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """Begin a head; one that follows our answer was not asked for."""
        self._in_head, self._head_bytes, self._length, self._chunked = True, 0, None, False
        self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field; those that say how long the body is are looked at."""
        exchange = self._exchange
        if exchange is None or exchange.whole:
            return
        exchange.headers.append((name, value))
        lowered = name.lower()
        if lowered == b"content-length":
            self._length = int(value) if value.strip().isdigit() else 0
        elif lowered == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        """Look at the status."""
        self._in_head = False
        status, exchange = self._parser.get_status_code(), self._exchange
        self._interim = status < FINAL and status != UPGRADED
        if exchange is None or exchange.whole or self._interim:
            return
        exchange.began(status)
        if self._length is not None and self._length > self._limit:
            exchange.fail(TooLarge(self._limit))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._exchange is not None and not self._exchange.whole:
            self._exchange.took(body, self._limit)

    def on_message_complete(self) -> None:
        """End the exchange, unless this was an interim answer."""
        exchange = self._exchange
        if exchange is None or exchange.whole:
            return
        if self._interim:
            exchange.headers.clear()
        elif exchange.fault is None:
            self._keeps = self._parser.should_keep_alive()  # it knows only here and now
            exchange.ended()

    # --- the end of an exchange ---

    @property
    def _until_close(self) -> bool:
        return self._length is None and not self._chunked

    def _bound(self, exchange: Exchange, received: int) -> None:
        if exchange.whole:
            self._end(reusable=self._keeps)
        elif exchange.fault is not None:
            self._break(exchange.fault)
        elif self._in_head:
            self._head_bytes += received
            if self._head_bytes > MOST_HEAD_BYTES:
                self._break(httpx.ReadError(NO_HTTP))

    def _break(self, fault: httpx.TransportError) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._fail(fault)

    def _fail(self, fault: httpx.TransportError) -> None:
        if self._exchange is not None:
            self._exchange.fail(fault)
            self._end(reusable=False)

    def _end(self, *, reusable: bool) -> None:
        self._exchange = None
        if not reusable and self._transport is not None:
            self._transport.abort()
        self._settled(self, reusable)

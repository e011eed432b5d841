"""HTTP/1.1 over asyncio, as little as the simulator needs, so that a poll costs next to nothing.

One request at a time per TCP connection; what arrives meanwhile waits. Bodies need a ``content-length``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from monitor.simulator.mishaps import detail
from monitor.simulator.wire import HEADERS_END, Manner, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.simulator.traffic import Traffic

_LARGEST_HEAD: Final = 1 << 16
_LARGEST_BODY: Final = 1 << 20
_BAD_REQUEST: Final = detail(400, "Bad Request")


class BadRequestError(ValueError):
    """Bytes that are no request that this server understands."""


class HttpConnection(asyncio.Protocol):
    """One TCP connection of a client. ``connections`` is the set of those that are open."""

    def __init__(self, respond: Callable[[Request], Reply], traffic: Traffic, connections: set[HttpConnection]) -> None:
        self._respond = respond
        self._traffic = traffic
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._pending: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keep_alive = True
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to listen to a client."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was under way."""
        del exc
        self._connections.discard(self)
        self._transport = None
        self._lost.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._pending is not None:
            self._traffic.end(self._pending, "aborted")
            self._pending = None

    def data_received(self, data: bytes) -> None:
        """Take bytes of a client, whole requests or parts."""
        self._buffer += data
        self._serve()

    async def abort(self) -> None:
        """End the connection at once and wait until it is gone."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    def _serve(self) -> None:
        try:
            while self._idle() and (request := self._take()) is not None:
                self._start(request)
        except BadRequestError:
            if self._transport is not None:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()

    def _idle(self) -> bool:
        return self._pending is None and self._transport is not None and not self._transport.is_closing()

    def _take(self) -> Request | None:
        """Take one whole request off the buffer."""
        end = self._buffer.find(HEADERS_END)
        if end < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                raise BadRequestError
            return None
        head = self._buffer[:end].decode("latin-1")
        size = _body_size(head)
        if len(self._buffer) < end + 4 + size:
            return None
        body = self._buffer[end + 4 : end + 4 + size]
        self._buffer = self._buffer[end + 4 + size :]
        return read(head, body)

    def _start(self, request: Request) -> None:
        reply = self._respond(request)
        self._traffic.begin(reply)
        self._keep_alive = request.keep_alive
        self._pending = reply
        if reply.delay:
            self._timer = asyncio.get_running_loop().call_later(reply.delay, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        reply, transport = self._pending, self._transport
        if reply is None or transport is None or reply.manner is Manner.SILENCE:
            return
        if reply.manner is Manner.DRIP:
            self._drip(reply, 0)
            return
        if reply.manner is Manner.RESET:
            _reset(transport)
        else:
            transport.write(reply.payload)
        self._end(reply)

    def _drip(self, reply: Reply, sent: int) -> None:
        if self._transport is None:
            return
        self._transport.write(reply.payload[sent : sent + 1])
        if sent + 1 < len(reply.payload):
            self._timer = asyncio.get_running_loop().call_later(reply.gap, self._drip, reply, sent + 1)
        else:
            self._end(reply)
            self._serve()

    def _end(self, reply: Reply) -> None:
        self._pending = None
        self._traffic.end(reply, reply.code)
        if self._transport is None:
            return
        if reply.manner is Manner.CLOSE or not self._keep_alive:
            self._transport.close()
        elif self._timer is not None:
            # The reply was late: requests may have come in behind it.
            self._timer = None
            asyncio.get_running_loop().call_soon(self._serve)


def read(head: str, body: bytes) -> Request:
    """Read the head of a request, without the empty line."""
    line, _, fields = head.partition("\r\n")
    try:
        method, target, version = line.split(" ")
    except ValueError as error:
        raise BadRequestError from error
    if not version.startswith("HTTP/1."):
        raise BadRequestError
    path, _, query = target.partition("?")
    lowered = f"\r\n{fields.lower()}\r\n"
    closing = "\r\nconnection: close\r\n" in lowered
    return Request(method, path, query, _field(fields, lowered, "x-vital-api-key"), body, not closing)


def _field(fields: str, lowered: str, name: str) -> str | None:
    """Return the value of a header, its name found in ``lowered``: two longer, else place for place the same."""
    start = lowered.find(f"\r\n{name}:")
    if start < 0:
        return None
    start += len(name) + 1
    end = fields.find("\r\n", start)
    return (fields[start:] if end < 0 else fields[start:end]).strip()


def _body_size(head: str) -> int:
    if head.startswith("GET "):
        return 0
    lowered = head.lower()
    if "\r\ntransfer-encoding:" in lowered:
        raise BadRequestError
    raw = _field(head.partition("\r\n")[2], "\r\n" + lowered.partition("\r\n")[2] + "\r\n", "content-length") or "0"
    if not raw.isdigit() or int(raw) > _LARGEST_BODY:
        raise BadRequestError
    return int(raw)


def _reset(transport: asyncio.Transport) -> None:
    """Make closing send a reset instead of an orderly end."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

"""The wire under the client: connections that are kept alive, behind the transport interface of httpx.

httpx's own pool costs time that grows with its size, and other clients cost more than all the rest of a poll. So the
connections are our own and little else is: llhttp parses (``httptools``), ``aiohappyeyeballs`` connects, the loop does
TLS.
"""

from __future__ import annotations

import asyncio
from socket import SOCK_STREAM
from typing import TYPE_CHECKING, Final

import httpx
from aiohappyeyeballs import start_connection

from monitor.errors import ConfigurationError
from monitor.junction.connection import Connection
from monitor.junction.request import Got, as_get
from monitor.tls import client_context

if TYPE_CHECKING:
    import ssl

    from monitor.junction.request import Origin

KEEP_ALIVE_SECONDS: Final = 15.0
"""Shorter than any load balancer's, so that it is we who close an idle connection."""
NEXT_ADDRESS_AFTER: Final = 0.25
"""Seconds after which the next address of a host is tried beside the one before."""


class AuthoritiesUnusable(httpx.ConnectError):
    """The certificates that servers are verified with cannot be read."""


class HttpTransport(httpx.AsyncBaseTransport):
    """At most ``concurrency`` connections, kept alive, with the TLS of :mod:`monitor.tls`.

    Proxies and netrc are ignored. Every request is sent once. Of a body at most ``max_body_bytes`` are read, not
    decompressed.
    """

    def __init__(self, *, concurrency: int, max_body_bytes: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._max_body_bytes = max_body_bytes
        self._idle: dict[Origin, list[Connection]] = {}
        self._busy: dict[Connection, Origin] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``, a GET, and return a 200 when it is whole, and any other response when its head is there.

        Raises:
            httpx.TransportError: no head came; an :class:`ssl.SSLError` among the causes where TLS is at fault.
        """
        get = as_get(request)
        await self._slots.acquire()
        connection = await self._had(get.origin)
        exchange = connection.ask(get.encoded)
        try:
            await exchange.head
        except asyncio.CancelledError:
            connection.close()
            raise
        return Got(exchange.status, exchange.headers, exchange)

    async def aclose(self) -> None:
        """Close every connection; a later request fails as if nobody answered."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in [*self._busy, *(each for idle in self._idle.values() for each in idle)]:
            connection.close()
        self._idle.clear()

    async def _had(self, origin: Origin) -> Connection:
        """Return a connection that is nobody else's, with the slot that it takes."""
        try:
            self._refuse_when_closed()
            connection = self._reused(origin) or await self._connected(origin)
        except BaseException:
            self._slots.release()
            raise
        self._busy[connection] = origin
        return connection

    def _reused(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()  # the one used last: the others may come of age
            if connection.is_open:
                return connection
        return None

    async def _connected(self, origin: Origin) -> Connection:
        loop, host = asyncio.get_running_loop(), origin.host.strip("[]")
        tls = self._context() if origin.scheme == "https" else None
        try:
            found = await loop.getaddrinfo(host, origin.port, type=SOCK_STREAM)
            _, connection = await loop.create_connection(
                lambda: Connection(self._max_body_bytes, self._settled),
                sock=await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_AFTER),
                ssl=tls,
                server_hostname=host if tls else None,
            )
        except (OSError, ValueError) as fault:  # ValueError: a host name that is none
            raise httpx.ConnectError(str(fault) or type(fault).__name__) from fault
        if self._closed:
            connection.close()
        self._refuse_when_closed()
        return connection

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise httpx.ConnectError("the client is closed")

    def _settled(self, connection: Connection, reusable: bool) -> None:
        """Take back a connection whose exchange has ended, or forget one that ended while it was idle."""
        origin = self._busy.pop(connection, None)
        if origin is None:
            return
        self._slots.release()
        if reusable and not self._closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.setdefault(origin, []).append(connection)
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEEP_ALIVE_SECONDS / 3, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for long, and forget what the other side has closed."""
        self._sweeping, since = None, asyncio.get_running_loop().time() - KEEP_ALIVE_SECONDS
        for origin, idle in self._idle.items():
            for each in idle:
                if each.idle_since < since:
                    each.close()
            self._idle[origin] = [each for each in idle if each.is_open]
        if any(self._idle.values()):
            self._sweep_later()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = client_context()
            except ConfigurationError as error:  # of a file that has gone since the start, and may come back
                raise AuthoritiesUnusable(str(error)) from error
        return self._tls

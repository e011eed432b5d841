"""The wire under the client: aiohttp's connections behind the transport interface of httpx.

httpx's own pool costs time that grows with its size; of the other ways to send one request through httpx's interface
this is the fastest that was measured.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx

from monitor.junction.request import Get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEEP_ALIVE_SECONDS: Final = 15.0
"""Shorter than any load balancer's, so that it is we who close an idle connection."""
DNS_CACHE_SECONDS: Final = 60
NO_LIMIT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
"""The client has one deadline of its own."""
# uvloop raises RuntimeError where asyncio raises OSError: writing to a connection that has just been closed.
BROKEN: Final = (aiohttp.ClientError, OSError, ValueError, RuntimeError)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """At most ``concurrency`` connections, kept alive, TLS 1.2 or later, certificates verified.

    Nothing comes from the environment but ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` (a private authority): proxies and
    netrc are ignored. Every request is sent once. Bodies come as they were sent, not decompressed.
    """

    def __init__(self, *, concurrency: int) -> None:
        self._concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``, which has no body, and return the response as soon as its head is there.

        Raises:
            httpx.TransportError: no head came; an :class:`ssl.SSLError` among the causes where TLS is at fault.
        """
        session = self._opened()
        address, fields = _address(request)
        try:
            response = await session.request(request.method, address, headers=fields, allow_redirects=False)
        except BROKEN as fault:
            raise httpx.ConnectError(_described(fault)) from fault
        return httpx.Response(response.status, headers=response.raw_headers, stream=Body(response), request=request)

    async def aclose(self) -> None:
        """Close every connection; a later request fails as if nobody answered."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise httpx.ConnectError("the client is closed")
        if self._session is None:  # a session is bound to the loop that runs when it is made
            self._session = _session(self._concurrency)
        return self._session


class Body(httpx.AsyncByteStream):
    """The bytes of one response; a body that is not read to its end takes its connection with it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Read on; no generator, for the loop keeps a register of those."""
        return self

    async def __anext__(self) -> bytes:
        """Return what has come.

        Raises:
            httpx.RemoteProtocolError: the other side ended the body before its end.
            httpx.ReadError: the connection broke.
        """
        try:
            chunk = await self._response.content.readany()
        except aiohttp.ClientPayloadError as fault:
            if self._reset():
                raise httpx.ReadError("the connection broke in the middle of the body") from fault
            raise httpx.RemoteProtocolError("the body was cut off") from fault
        except BROKEN as fault:
            raise httpx.ReadError(_described(fault)) from fault
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end and it is free for the next request already."""
        self._response.close()

    def _reset(self) -> bool:
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        return protocol is not None and isinstance(protocol.exception(), OSError)


class Unanswered(aiohttp.ClientError):
    """A connection broke before an answer came."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by raising what it does not know."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
        raise Unanswered("the connection broke before an answer came") from fault


def _address(request: httpx.Request) -> tuple[str, Any]:
    if isinstance(request, Get):
        return request.address, request.fields
    return str(request.url), request.headers.multi_items()


def _session(concurrency: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=concurrency,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        ssl=_verifying(),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=NO_LIMIT,
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("accept", "accept-encoding", "user-agent"),
        middlewares=(_once,),
    )


def _verifying() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _described(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientResponseError):  # its own text may repeat what was received, or sent
        return "the answer is not HTTP"
    return str(fault) or type(fault).__name__

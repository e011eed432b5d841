"""The engine of every outgoing request: aiohttp behind httpx' transport interface.

Requests and responses are real ``httpx`` objects. Each request is sent once: a retry of aiohttp's would escape the rate
limit. Proxy variables and netrc are ignored, redirects are not followed, cookies are not kept.
"""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from monitor.errors import ConfigurationError
from monitor.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

KEEP_ALIVE_SECONDS: Final = 15.0
"""Shorter than any load balancer's, so that the client closes idle connections."""
DNS_CACHE_SECONDS: Final = 60
"""As long as most providers of load balancers let an address live."""
MAX_AGE_SECONDS: Final = 600.0
"""An older connection serves one more request and is closed: a busy one would never notice that the address moved."""
PROBE_AFTER_SECONDS: Final = 30
"""TCP keep-alive: a peer that vanished without a word is noticed while a connection waits."""
AUTOMATIC_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add where a request has none."""


class TrustStoreUnusable(httpx.ConnectError):
    """The certificates that servers are verified with cannot be read."""


class HttpTransport(httpx.AsyncBaseTransport):
    """A pool of at most ``connections`` connections; it opens with the first request."""

    def __init__(
        self,
        *,
        connections: int,
        tls: Callable[[], ssl.SSLContext] = client_context,
        proxy: str | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            connections: the most connections that are open at once; further requests wait.
            tls: what servers are verified with; called before the first request over TLS.
            proxy: the ``http://`` or ``https://`` URL of a proxy that every request goes through.
        """
        self._connections = connections
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._proxy = None if proxy is None else URL(proxy)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and return the response when its head is there.

        Raises:
            httpx.TransportError: no head came; an :class:`ssl.SSLError` among the causes where TLS failed.
        """
        try:
            response = await self._open().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=None if request.method == "GET" else request.content,
                allow_redirects=False,
                proxy=self._proxy,
                ssl=self._verifying() if self._needs_tls(request) else True,
            )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise
            fault: httpx.TransportError = httpx.ConnectError("the client is closed")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            fault = _as_httpx(error)
        else:
            stream = _Body(response)
            return httpx.Response(response.status, headers=response.raw_headers, stream=stream, request=request)
        # Outside of the except clause: aiohttp's errors hold the request's headers, and with them the key.
        raise fault

    async def aclose(self) -> None:
        """Close every connection; later requests fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise httpx.ConnectError("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(
                    limit=self._connections,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                    ttl_dns_cache=DNS_CACHE_SECONDS,
                    socket_factory=_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=AUTOMATIC_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the caller has one deadline for all
                middlewares=(_send_once,),
            )
        return self._session

    def _needs_tls(self, request: httpx.Request) -> bool:
        return request.url.scheme == "https" or (self._proxy is not None and self._proxy.scheme == "https")

    def _verifying(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                self._context = self._tls()
            except ConfigurationError as error:  # the file vanished after the start, and may come back
                raise TrustStoreUnusable(str(error)) from error
        return self._context


class _Body(httpx.AsyncByteStream):
    """A response's body as it comes; aiohttp pauses the sender while nobody reads."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._protocol = None if response.connection is None else response.connection.protocol
        if self._protocol is not None and self._protocol.closed is not None:
            self._protocol.closed.add_done_callback(self._wake)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        """Return what has come.

        Raises:
            httpx.RemoteProtocolError: the body was cut off.
            httpx.ReadError: the connection broke, or what came is not HTTP.
        """
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
            fault = _as_httpx(error)
            if self._is_broken() or isinstance(error, RuntimeError):
                fault = httpx.ReadError("the connection broke in the middle of the body")
        else:
            if chunk:
                return chunk
            raise StopAsyncIteration
        raise fault

    async def aclose(self) -> None:
        """Give the connection back, or cut it off where the body was not read to its end."""
        if self._protocol is not None and self._protocol.closed is not None:
            self._protocol.closed.remove_done_callback(self._wake)
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()  # a graceful end of TLS would read on from a peer that does not stop
        self._response.close()

    def _is_broken(self) -> bool:
        return self._protocol is not None and isinstance(self._protocol.exception(), OSError | HttpProcessingError)

    def _wake(self, _: asyncio.Future[None]) -> None:
        """End a body that stopped being HTTP: aiohttp 3.14 closes the connection and leaves the reader waiting."""
        content = self._response.content
        if self._is_broken() and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())


class _Connector(aiohttp.TCPConnector):
    """A pool whose connections are replaced when they are old."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._opened_at: WeakKeyDictionary[ResponseHandler, float] = WeakKeyDictionary()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp names it
    ) -> Connection:
        """Return a connection that is clean: aiohttp would take what came unasked for the next user's answer."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol, now = connection.protocol, monotonic()
            assert protocol is not None  # noqa: S101 - nobody has released it
            if (opened_at := self._opened_at.setdefault(protocol, now)) == now and protocol.closed is not None:
                protocol.closed.add_done_callback(_retrieve)
            if opened_at == now or not protocol.should_close:
                if now - opened_at > MAX_AGE_SECONDS:
                    protocol.force_close()
                return connection
            connection.close()


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Turn what aiohttp would answer by sending the request again into an error."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        fault = _as_httpx(error)
    raise fault


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Take the error of a connection's end, which asyncio would log where nobody does."""
    if not closed.cancelled():
        closed.exception()


def _socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; elsewhere the system's own times hold
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_SECONDS)
    return opened


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Return ``error`` as one of httpx' own, its cause an error of the system or of TLS alone."""
    fault: httpx.TransportError
    match error:
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientConnectorError():
            fault = _not_connected(error)
        case aiohttp.ClientPayloadError():
            fault = httpx.RemoteProtocolError("the body was cut off")
        case aiohttp.ClientResponseError():
            fault = httpx.ReadError("the answer is not HTTP")
        case ValueError():
            fault = httpx.ConnectError("the address is none")
        case _:
            fault = httpx.ReadError("the connection broke before an answer came")
    if isinstance(error.__cause__, OSError):
        fault.__cause__ = error.__cause__
    return fault


def _not_connected(error: aiohttp.ClientHttpProxyError | aiohttp.ClientConnectorError) -> httpx.TransportError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return httpx.ProxyError(f"the proxy refused to connect: {error.status} {error.message}")
    reason = str(error.__cause__) or type(error.__cause__).__name__
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return httpx.ProxyError(f"the proxy cannot be reached: {reason}")
    return httpx.ConnectError(reason)

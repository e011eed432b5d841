"""The HTTP server: metrics, and whether this process lives and is ready. Anything else is 404."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.responses import JSONResponse, PlainTextResponse, Response

from monitor.errors import REACH, MonitorError, StoreError, StoreUnavailable
from monitor.server.access import Access
from monitor.server.listener import Listener
from monitor.server.protocol import CONNECTIONS, ClientConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from monitor.exporter import Exporter
    from monitor.server.certificate import Certificate

PING_WITHIN: Final = 2.0
"""Seconds that the database has to show that it is ready."""
STOP_WITHIN: Final = 2
HEADER_BYTES: Final = 16_384


class Server:
    """Serves inside the running loop, and leaves signals to the application."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        exporter: Exporter,
        ping: Callable[[], Awaitable[None]],
        failing: Callable[[], list[str]],
        unready: Callable[[], Mapping[str, str]],
        access: Access | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            host: the address to listen on.
            port: the port to listen on; 0 takes a free one.
            exporter: what renders the metrics.
            ping: asks the database; raises a StoreError where it will not do.
            failing: names what of the process no longer lives.
            unready: names the work that does not succeed, with reasons.
            access: who may read the metrics; None: everybody.
            certificate: what is served under; None: in clear.
        """
        self._host = host
        self._access = access or Access()
        self._exporter = exporter
        self._ping = ping
        self._failing = failing
        self._unready = unready
        self._task: asyncio.Task[None] | None = None
        self._listening: socket.socket | None = None
        self._server = Listener(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                http=ClientConnection,
                log_config=None,
                log_level="error",  # whoever sends nonsense fills no log
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=2 * CONNECTIONS,  # counts requests whose client has gone, too
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_graceful_shutdown=STOP_WITHIN,
                ws="none",
            ),
            None if certificate is None else certificate.context,
        )
        self.port = port

    async def start(self) -> None:
        """Listen; ``port`` then tells where.

        Raises:
            MonitorError: the address cannot be had.
        """
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self.port, type=socket.SOCK_STREAM)
            family, *_, address = found[0]
            # "::" means every address of this machine; without this option it means those of IPv6 alone.
            every_address = address[0] == "::" and socket.has_dualstack_ipv6()
            listening = socket.create_server(address[:2], family=family, dualstack_ipv6=every_address)
        except OSError as error:
            where = f"{self._host}:{self.port}"
            raise MonitorError(f"cannot listen on {where} (http.host, http.port): {error.strerror}") from error
        listening.setblocking(False)
        self._listening = listening
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def stop(self) -> None:
        """Listen no more; slow clients are not waited for."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._listening is not None:
            self._listening.close()  # after a crash nobody else has closed it

    @property
    def task(self) -> asyncio.Task[None]:
        """What serves, from :meth:`start` on; whoever watches it hears of an unexpected end."""
        assert self._task is not None  # noqa: S101 - it was started
        return self._task

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        routes = {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}
        answer = routes.get(scope["path"]) if scope["method"] in {"GET", "HEAD"} else None
        response = await answer(scope) if answer else PlainTextResponse("not found\n", status_code=404)
        await response(scope, receive, send)

    async def _metrics(self, scope: Scope) -> Response:
        if not self._access.admits(_said(scope, b"authorization")):
            return PlainTextResponse("unauthorized\n", 401, {"www-authenticate": self._access.challenge})
        accept = b", ".join(_said(scope, b"accept")).decode("latin-1")
        body, content_type = await self._exporter.render(accept)
        return Response(body, headers={"content-type": content_type})

    async def _healthz(self, _: Scope) -> Response:
        failing = self._failing()
        return JSONResponse({"alive": not failing, "failing": failing}, status_code=503 if failing else 200)

    async def _readyz(self, _: Scope) -> Response:
        failing = {**await self._database_fault(), **self._unready()}
        return JSONResponse({"ready": not failing, "failing": failing}, status_code=503 if failing else 200)

    async def _database_fault(self) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(PING_WITHIN):
                await self._ping()
        except TimeoutError:
            return {"database": f"no answer within {PING_WITHIN:g} s; {REACH}"}
        except StoreUnavailable as error:
            return {"database": error.advice}
        except StoreError as error:
            return {"database": str(error)}
        return {}


def _said(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]

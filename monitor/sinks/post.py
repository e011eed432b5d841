"""One POST to a sink: one attempt, one deadline, and a receipt for whatever comes of it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import httpx

from monitor import __version__
from monitor.core.wording import clean
from monitor.ports import Receipt, Reception
from monitor.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

HEADERS: Final = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "user-agent": f"junction-connection-monitor/{__version__}",
}
MASK: Final = "**********"
MAX_ANSWER_BYTES: Final = 2048
"""So much of an answer is read, and kept where it is a refusal."""
PASSING: Final = frozenset({408, 425, 429})
"""What of 4xx says nothing of the request."""


class Poster:
    """Posts JSON. Proxies of the environment are ignored and redirects are never followed: what is sent is secret.

    Certificates are verified, see :mod:`monitor.tls`.
    """

    def __init__(
        self, *, timeout: timedelta, connections: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Keep the settings.

        Args:
            timeout: from the start of a request to the end of its answer, the wait for a free connection included.
            connections: the most that are open at once.
            transport: what requests go through instead of the network.

        Raises:
            ConfigurationError: the certificates to verify with cannot be read.
        """
        self._seconds = timeout.total_seconds()
        self._client = httpx.AsyncClient(
            headers=HEADERS,
            verify=client_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._seconds,
            limits=httpx.Limits(max_connections=connections),
            transport=transport,
        )

    async def post(self, url: str, body: str, headers: Mapping[str, str], *, secret: str | None) -> Receipt:
        """Send ``body``, and return what became of it; ``secret`` is masked where the other side repeats it."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(url, body.encode(), headers, secret)
        except (TimeoutError, httpx.TimeoutException):
            return Receipt(reception=Reception.FAILED, reason=f"no complete answer within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            return Receipt(reception=Reception.UNREACHABLE, reason=_reason(fault))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], secret: str | None) -> Receipt:
        async with self._client.stream("POST", url, content=body, headers=dict(headers)) as response:
            answer = await _beginning(response)
        if response.is_success:
            return Receipt(reception=Reception.DELIVERED, status=response.status_code)
        refused = response.is_client_error and response.status_code not in PASSING
        return Receipt(
            reception=Reception.REFUSED if refused else Reception.FAILED,
            reason=f"HTTP {response.status_code}",
            detail=clean(_masked(answer.decode("utf-8", "replace"), secret)) or None,
            status=response.status_code,
        )


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    async for each in response.aiter_raw():
        body += each
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body[:MAX_ANSWER_BYTES])


def _masked(text: str, secret: str | None) -> str:
    return text.replace(secret, MASK) if secret else text


def _reason(fault: BaseException) -> str:
    said, below = clean(str(fault)), fault.__cause__ or fault.__context__
    while below is not None:
        if isinstance(below, ssl.SSLError):
            return f"TLS: {said}"
        below = below.__cause__ or below.__context__
    return said or type(fault).__name__

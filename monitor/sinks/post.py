"""One POST to a sink: one attempt, one deadline, and a receipt for whatever comes of it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from monitor import __version__
from monitor.core.wording import clean
from monitor.ports import Receipt, Reception
from monitor.tls import client_context
from monitor.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

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
ASKING_TO_WAIT: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""The answers whose ``Retry-After`` is honoured (RFC 9110, 10.2.3)."""
LONGEST_WAIT: Final = timedelta(hours=1)
"""A longer ``Retry-After`` is cut to this; an address that is gone is tried again after it."""
DIGITS_OF_LONGEST_WAIT: Final = 6
"""More digits of seconds are absurd, and would not fit into a timedelta at some length."""


class Poster:
    """Posts JSON. Proxies of the environment are ignored and redirects are never followed: what is sent is secret.

    Certificates are verified, see :mod:`monitor.tls`. An address that asked to wait, or is gone, gets no request before
    that time has passed.
    """

    def __init__(
        self,
        *,
        timeout: timedelta,
        connections: int,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            timeout: from the start of a request to the end of its answer, the wait for a free connection included.
            connections: the most that are open at once.
            clock: the time of day.
            transport: what requests go through instead of the network.

        Raises:
            ConfigurationError: the certificates to verify with cannot be read.
        """
        self._seconds = timeout.total_seconds()
        self._clock = clock
        self._closed_until: dict[str, datetime] = {}
        """By URL, the time before which nothing is sent there."""
        context = client_context()
        self._client = httpx.AsyncClient(
            headers=HEADERS,
            trust_env=False,
            follow_redirects=False,
            timeout=self._seconds,
            transport=transport or HttpTransport(connections=connections, tls=lambda: context),
        )

    async def post(self, url: str, body: str, headers: Mapping[str, str], *, secrets: Sequence[str]) -> Receipt:
        """Send ``body``, and return what became of it; ``secrets`` are masked where the other side repeats them."""
        if (wait := self._wait(url)) is not None:
            reason = f"asked to wait for another {wait.total_seconds():.0f} s"
            return Receipt(reception=Reception.UNREACHABLE, reason=reason, retry_after=wait)
        try:
            async with asyncio.timeout(self._seconds):
                receipt = await self._post(url, body.encode(), headers, secrets)
        except (TimeoutError, httpx.TimeoutException):
            return Receipt(reception=Reception.FAILED, reason=f"no complete answer within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            return Receipt(reception=Reception.UNREACHABLE, reason=_reason(fault))
        if receipt.retry_after is not None:
            self._closed_until[url] = self._clock() + receipt.retry_after
        return receipt

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def _wait(self, url: str) -> timedelta | None:
        """Return for how long nothing may be sent to ``url``, None where it may; a clock set back delays nothing."""
        until = self._closed_until.get(url)
        wait = None if until is None else until - self._clock()
        return wait if wait is not None and timedelta(0) < wait <= LONGEST_WAIT else None

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Receipt:
        async with self._client.stream("POST", url, content=body, headers=dict(headers)) as response:
            answer = await _beginning(response)
        if response.is_success:
            return Receipt(reception=Reception.DELIVERED, status=response.status_code)
        return Receipt(
            reception=_reception(response),
            reason=f"HTTP {response.status_code}",
            detail=clean(_masked(answer.decode("utf-8", "replace"), secrets)) or None,
            status=response.status_code,
            retry_after=self._retry_after(response),
        )

    def _retry_after(self, response: httpx.Response) -> timedelta | None:
        if response.status_code == HTTPStatus.GONE:
            return LONGEST_WAIT
        if response.status_code not in ASKING_TO_WAIT:
            return None
        return retry_after(response.headers.get("retry-after", ""), self._clock())


def retry_after(text: str, now: datetime) -> timedelta | None:
    """Return how long ``Retry-After`` asks to wait, an hour at most; None where it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        digits = text.lstrip("0") or "0"
        return LONGEST_WAIT if len(digits) > DIGITS_OF_LONGEST_WAIT else _bounded(timedelta(seconds=int(digits)))
    try:
        date = parsedate_to_datetime(text)
        return _bounded((date if date.tzinfo else date.replace(tzinfo=UTC)) - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _reception(response: httpx.Response) -> Reception:
    if response.status_code == HTTPStatus.GONE:
        return Reception.GONE
    refused = response.is_client_error and response.status_code not in PASSING
    return Reception.REFUSED if refused else Reception.FAILED


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    async for each in response.aiter_raw():
        body += each
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body[:MAX_ANSWER_BYTES])


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _reason(fault: BaseException) -> str:
    said, below = clean(str(fault)), fault.__cause__ or fault.__context__
    while below is not None:
        if isinstance(below, ssl.SSLError):
            return f"TLS: {said}"
        below = below.__cause__ or below.__context__
    return said or type(fault).__name__

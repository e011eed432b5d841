"""One target's API over HTTP: one attempt, one deadline, and a value for whatever comes of it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from typing import TYPE_CHECKING, Final, cast

import httpx

from monitor import __version__
from monitor.core.model import Outcome
from monitor.junction import listing, meaning, wire
from monitor.junction.body import Unreadable, read_body
from monitor.ports import Answer
from monitor.tls import client_context
from monitor.transport import HttpTransport, TrustStoreUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from uuid import UUID

    from monitor.core.model import Snapshot
    from monitor.ports import UserPage

USER_AGENT: Final = f"junction-connection-monitor/{__version__}"
NO_BODY: Final = httpx.ByteStream(b"")
TRACED: Final = frozenset({Outcome.REJECTED, Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.TIMEOUT})
"""Outcomes with which a person may turn to the vendor's support, which finds a request by its trace id."""


class JunctionClient:
    """Asks one target. Nothing that the network or the vendor does is raised; all of it is an :class:`Answer`.

    Proxies of the environment are ignored and redirects are never followed: the key goes to ``base_url`` alone.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: Callable[[], str],
        timeout: timedelta,
        max_body_bytes: int,
        concurrency: int,
        external_user_id: Callable[[str], str | None],
        proxy: str | None = None,
        ca_file: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        user_agent: str = USER_AGENT,
    ) -> None:
        """Keep the settings; nothing is opened before the first request.

        Args:
            base_url: scheme, host and perhaps a path; no query.
            api_key: the key; called for every request, so that it may be rotated.
            timeout: from the start of a request to its last byte, the wait for a free connection included.
            max_body_bytes: the most that is read of a body, as sent and decompressed.
            concurrency: the most connections that are open at once.
            external_user_id: what is kept of the vendor's ``external_user_id``.
            proxy: the URL of a proxy that every request goes through.
            ca_file: certificates of authorities that are trusted beside the system's.
            transport: what requests go through instead of the network.
            user_agent: what we call ourselves.
        """
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._seconds = timeout.total_seconds()
        self._max_body_bytes = max_body_bytes
        self._external_user_id = external_user_id
        self._transport = transport or HttpTransport(
            connections=concurrency, tls=partial(client_context, ca_file), proxy=proxy
        )
        self._user_agent = user_agent

    def __repr__(self) -> str:
        return f"JunctionClient(host={httpx.URL(self._base_url).host!r}, api_key='***')"

    async def connections(self, user_id: UUID) -> Answer:
        """Ask for one user's connections."""
        return await self._get(f"/v2/user/providers/{user_id}")

    def read(self, body: bytes) -> Snapshot | None:
        """Return what the body of a 200 shows, None where it is malformed as a whole."""
        return wire.read(body, self._external_user_id)

    async def users(self, *, offset: int, limit: int) -> Answer | UserPage:
        """Ask for one page of the target's user list; anything but a page is the answer that came instead."""
        answer = await self._get(f"/v2/user?offset={offset}&limit={limit}")
        if answer.outcome is not None:
            return answer
        page = listing.read_page(answer.body)
        return page or Answer(outcome=Outcome.MALFORMED, code=answer.code, detail="the body is no page of users")

    async def errored_connections(self) -> int | None:
        """Ask for the vendor's own total of errored connections, None where it cannot be had."""
        answer = await self._get("/v2/user/metrics")
        return listing.read_errored(answer.body) if answer.outcome is None else None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _get(self, path: str) -> Answer:
        key = self._api_key()
        if not (key.isascii() and key.isprintable() and key.strip()):
            return Answer(outcome=Outcome.REJECTED, code="connect", detail="the API key cannot be sent in a header")
        trace = f"{getrandbits(192):048x}"
        # With a stream httpx prepares no body, which is a third of what a request costs.
        request = httpx.Request("GET", self._base_url + path, headers=self._headers(key, trace), stream=NO_BODY)
        answer = await self._ask(request, key)
        return _traced(answer, trace[:32]) if answer.outcome in TRACED else answer

    def _headers(self, key: str, trace: str) -> dict[str, str]:
        return {
            "x-vital-api-key": key,
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": self._user_agent,
            "traceparent": f"00-{trace[:32]}-{trace[32:]}-01",
        }

    async def _ask(self, request: httpx.Request, key: str) -> Answer:
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._transport.handle_async_request(request)
                body = await read_body(response, self._max_body_bytes)
            return _answered(response, body, key)
        except (TimeoutError, httpx.TransportError, Unreadable) as fault:
            if response is not None and response.status_code != httpx.codes.OK:
                return _answered(response, b"", key)  # the head alone says what it means
            return self._failed(fault)
        finally:
            if response is not None:
                # The response's own aclose does no more, and costs more.
                await cast("httpx.AsyncByteStream", response.stream).aclose()

    def _failed(self, fault: Exception) -> Answer:
        if isinstance(fault, Unreadable):
            return Answer(outcome=Outcome.MALFORMED, code="200", detail=str(fault))
        if isinstance(fault, (TimeoutError, httpx.TimeoutException)):
            return Answer(
                outcome=Outcome.TIMEOUT,
                code="timeout",
                detail=f"no complete answer within {self._seconds:g} s",
            )
        code = "tls" if _of_tls(fault) else "connect"
        return Answer(outcome=Outcome.UNAVAILABLE, code=code, detail=meaning.cleaned(str(fault)) or None)


def _answered(response: httpx.Response, body: bytes, key: str) -> Answer:
    status = response.status_code
    outcome = meaning.meaning(status)
    if outcome is None:
        return Answer(outcome=None, code="200", body=body)
    wait = None
    if outcome is Outcome.THROTTLED:
        wait = meaning.retry_after(response.headers.get("retry-after"), datetime.now(UTC))
    return Answer(outcome=outcome, code=str(status), retry_after=wait, detail=meaning.detail(body, key))


def _traced(answer: Answer, trace: str) -> Answer:
    said = f"{answer.detail} (trace {trace})" if answer.detail else f"trace {trace}"
    return Answer(outcome=answer.outcome, code=answer.code, retry_after=answer.retry_after, detail=said)


def _of_tls(fault: BaseException | None) -> bool:
    """Tell whether TLS is at the bottom of ``fault``; httpx has no exception of its own for it."""
    while fault is not None:
        if isinstance(fault, ssl.SSLError | TrustStoreUnusable):
            return True
        fault = fault.__cause__ or fault.__context__
    return False

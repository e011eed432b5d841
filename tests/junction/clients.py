"""Clients for the tests, and the one user they ask for."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from monitor.junction import JunctionClient
from tests.junction.answers import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.ports import Answer

USER = UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
KEY = "sk_us_open-sesame-0123456789"
LIMIT = 10_000


@asynccontextmanager
async def client(base_url: str = "http://junction.test", **changed: Any) -> AsyncIterator[JunctionClient]:
    """Open a client with short limits, and close it."""
    settings: dict[str, Any] = {
        "api_key": lambda: KEY,
        "timeout": timedelta(seconds=5),
        "max_body_bytes": LIMIT,
        "concurrency": 4,
        "external_user_id": plain,
    }
    opened = JunctionClient(base_url=base_url, **settings | changed)
    try:
        yield opened
    finally:
        await opened.aclose()


async def told(status: int, **response: Any) -> Answer:
    """Return what the client makes of one response."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, **response))
    async with client(transport=transport) as junction:
        return await junction.connections(USER)

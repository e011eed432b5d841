"""The key is in one place only: the header of a request to the target."""

from __future__ import annotations

import asyncio
import logging
import traceback

import httpx
import pytest

from monitor.core.model import Outcome
from tests.junction.clients import KEY, USER, client
from tests.junction.raw_server import ok, saying, serving


async def test_no_logger_tells_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """With every library at debug level, in good polls and in bad."""
    asyncio.get_running_loop().set_debug(enabled=True)
    with caplog.at_level(logging.DEBUG):
        for said in (ok(b"{}"), b"garbage\r\n\r\n", b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", b""):
            async with serving(saying(said, close=True)) as server, client(server.url) as junction:
                answer = await junction.connections(USER)
                assert KEY not in repr(answer)
        async with client("https://junction.invalid") as junction:
            await junction.connections(USER)
    assert KEY not in caplog.text
    assert all(KEY not in repr(vars(record)) for record in caplog.records)


async def test_no_repr_tells_the_key() -> None:
    """Neither the client nor what it sends shows it, nor a password in the address."""
    async with client("https://ann:secret@junction.test") as junction:
        assert repr(junction) == "JunctionClient(host='junction.test', api_key='***')"
    assert KEY not in repr(httpx.Request("GET", "https://junction.test", headers={"x-vital-api-key": KEY}))


async def test_no_traceback_tells_the_key() -> None:
    """Where a fault of our own escapes, its traceback holds code and messages, and the key is in neither."""

    def crash(_: httpx.Request) -> httpx.Response:
        raise KeyError("a fault of our own")

    async with client(transport=httpx.MockTransport(crash)) as junction:
        with pytest.raises(KeyError) as caught:
            await junction.connections(USER)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_vendor_that_echoes_the_key_is_not_repeated() -> None:
    """Some servers put the header they refuse into their error."""
    transport = httpx.MockTransport(lambda _: httpx.Response(401, json={"detail": f"bad key {KEY!r}"}))
    async with client(transport=transport) as junction:
        answer = await junction.connections(USER)
    assert answer.outcome is Outcome.REJECTED
    assert answer.detail is not None
    assert answer.detail.startswith("bad key '***'")

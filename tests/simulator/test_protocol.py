from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.simulator import Scenario, serve
from tests.simulator.raw import KEY, send

if TYPE_CHECKING:
    from tests.simulator.conftest import Served


def _request(path: str, extra: str = "", version: str = "HTTP/1.1") -> bytes:
    return f"GET {path} {version}\r\nhost: x\r\nx-vital-api-key:{KEY}\r\n{extra}\r\n".encode()


async def test_requests_may_come_in_pieces(served: Served) -> None:
    """A request is answered once its last byte is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for byte in _request("/v2/user/metrics"):
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_requests_may_come_in_one_piece(served: Served) -> None:
    """Pipelined requests are answered in their order, also when answers are late."""
    await served.client.post("/_simulator/fault", json={"fault": "latency", "delay": "20ms"})
    both = await send(served.port, _request("/v2/user/metrics") + _request("/nowhere"))
    assert both.status == 200
    assert both.body.count(b"HTTP/1.1 404 Not Found") == 1


async def test_a_connection_is_closed_when_asked(served: Served) -> None:
    """``Connection: close`` is honoured."""
    assert (await send(served.port, _request("/v2/user/metrics", "Connection: close\r\n"))).ending == "eof"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        _request("/", version="HTTP/2"),
        b"POST /_simulator/fault HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /_simulator/fault HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"x" * 70_000,
    ],
)
async def test_what_is_no_request_is_400(served: Served, request_bytes: bytes) -> None:
    """Bytes that mean nothing end the connection with a word."""
    answer = await send(served.port, request_bytes)
    assert (answer.status, answer.ending) == (400, "eof")


async def test_stopping_ends_what_is_under_way(served: Served) -> None:
    """A client that waits for an answer that never comes meets the end of the connection."""
    await served.client.post("/_simulator/fault", json={"fault": "timeout"})
    waiting = asyncio.create_task(send(served.port, _request("/v2/user"), wait=5))
    await asyncio.sleep(0.1)
    await served.simulator.stop()
    assert (await asyncio.wait_for(waiting, 2)).head == ""


async def test_a_client_may_leave_a_drip(served: Served) -> None:
    """Nothing is sent to who has gone."""
    await served.client.post("/_simulator/fault", json={"fault": "drip", "delay": "10ms"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(served.port, _request("/v2/user")), 0.1)
    await asyncio.sleep(0.1)
    assert served.simulator.traffic.codes == {"aborted": 1}


async def test_serving_ends_when_told() -> None:
    """``serve`` says its port, answers, and returns when its event is set."""
    until, ports = asyncio.Event(), asyncio.Queue[int]()
    task = asyncio.create_task(
        serve(scenario=Scenario(users=1), host="127.0.0.1", port=0, on_ready=ports.put_nowait, until=until)
    )
    assert (await send(await ports.get(), _request("/v2/user"))).status == 200
    until.set()
    await asyncio.wait_for(task, 5)

"""Against the real Alertmanager: what fires is there, what it forgot is there again, what is over ends."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from monitor.delivery import Health, Resend
from tests.delivery.desk import Desk, once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.sinks import AlertmanagerSink

pytestmark = pytest.mark.tools

CONFIG: Final = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
UP_WITHIN: Final = 20.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def alertmanager(port: int, storage: Path) -> Iterator[str]:
    """Run an Alertmanager with this storage, and give its address."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert program is not None, "needs Alertmanager"
    storage.mkdir()
    (storage / "config.yml").write_text(CONFIG, encoding="ascii")
    options = {
        "config.file": storage / "config.yml",
        "storage.path": storage,
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
        "log.level": "error",
    }
    process = subprocess.Popen([program, *(f"--{name}={value}" for name, value in options.items())])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def alerts(url: str) -> list[dict[str, Any]]:
    """Return what an Alertmanager says is firing, once it answers."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(UP_WITHIN):
        while True:
            try:
                found: list[dict[str, Any]] = (await client.get(f"{url}/api/v2/alerts")).raise_for_status().json()
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return found


def sink_of(desk: Desk, url: str) -> AlertmanagerSink:
    """Return a sink with time enough for a real program."""
    return desk.alertmanager(url, timeout=timedelta(seconds=10))


async def test_what_it_forgot_is_there_again_and_what_is_over_ends(desk: Desk, tmp_path: Path) -> None:
    """Fire, restart it with an empty storage, send again, resolve; seen through its own API at each step."""
    desk.teller.now = datetime.now(UTC)
    port = free_port()
    await desk.teller.fire(1)
    await desk.teller.tell(1, observed_at=desk.teller.now.isoformat())
    with alertmanager(port, tmp_path / "first") as url:
        assert await alerts(url) == []
        sink = sink_of(desk, url)
        courier = desk.courier(sink)
        await once(courier)
        (there,) = await alerts(url)
        assert (there["labels"]["alertname"], there["status"]["state"]) == ("JunctionConnectionAlert", "active")
        assert there["annotations"]["summary"] == "It is firing."
    with alertmanager(port, tmp_path / "second"):
        assert await alerts(url) == []
        assert await Resend(sink, Health("pager", desk.log)).run()
        (again,) = await alerts(url)
        assert (again["fingerprint"], again["startsAt"]) == (there["fingerprint"], there["startsAt"])
        desk.teller.now = datetime.now(UTC)
        await desk.teller.resolve(1)
        await desk.teller.tell(1, "resolved", severity="info", observed_at=desk.teller.now.isoformat())
        await once(courier)
        await asyncio.sleep(0.1)
        assert await alerts(url) == []
    assert await desk.undelivered() == 0

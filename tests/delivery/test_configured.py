from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from structlog.testing import LogCapture

from monitor.app.sinks import Sinks
from monitor.availability import Availability
from monitor.config import load
from monitor.job_border import JobBorder
from monitor.notifier import Notifier
from monitor.store import Schema, open_store
from tests.delivery.desk import SECRET, until
from tests.delivery.receiver import receiving
from tests.poller.world import Recorded
from tests.store.telling import Teller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from tests.delivery.receiver import Receiver

CONFIG = """
alerts:
  runbook_base_url: https://runbooks.example.com
  sinks:
    pager: {{type: webhook, url: "{pager}/hook", secret: {secret}, user_id: hash}}
    am: {{type: alertmanager, urls: ["{am}"], bearer_token: hunter2, resend_every: 30s}}
privacy: {{hash_key: pepper}}
log: {{format: json}}
"""


@asynccontextmanager
async def configured(tmp_path: Path, pager: Receiver, am: Receiver) -> AsyncIterator[tuple[Teller, Sinks]]:
    """Give the sinks of a configuration file around a SQLite file."""
    url = f"sqlite:///{tmp_path / 'monitor.db'}"
    Schema(url).upgrade()
    (tmp_path / "config.yaml").write_text(CONFIG.format(pager=pager.url, am=am.url, secret=SECRET), encoding="ascii")
    store, metrics = open_store(url), Recorded()
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[LogCapture()])
    config = load(tmp_path / "config.yaml", {})
    sinks = Sinks(config, store.outbox, metrics, JobBorder(Availability(metrics, log), metrics, log), log)
    yield Teller(store), sinks
    await sinks.aclose()
    await store.aclose()


async def test_every_sink_is_told_as_configured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The log plainly, the webhook with hashed users, the Alertmanager with its token."""
    async with receiving() as pager, receiving() as am, configured(tmp_path, pager, am) as (teller, sinks):
        await teller.tell(1, sinks=["log", "pager", "am"])
        notifier = Notifier(sinks.couriers)
        running = asyncio.create_task(notifier.run())
        notifier.tick()
        await until(lambda: pager.accepted and am.accepted)
        notifier.stop()
        await running
        assert not any((await teller.store.outbox.undelivered()).values())
    user = "00000000-0000-0000-0000-000000000001"
    assert f'"user_id": "{user}"' in capfd.readouterr().out
    told = pager.accepted[0].data["data"]
    assert len(told["user_id"]) == 64
    assert told["runbook_url"] == "https://runbooks.example.com/token_refresh_failed.md"
    assert am.accepted[0].headers["authorization"] == "Bearer hunter2"
    assert am.accepted[0].data[0]["annotations"]["user_id"] == user


async def test_only_what_forgets_is_told_again(tmp_path: Path) -> None:
    """By a job that one replica runs at a time."""
    async with receiving() as pager, receiving() as am, configured(tmp_path, pager, am) as (_, sinks):
        assert [each.name for each in sinks.couriers] == ["log", "pager", "am"]
        assert [(each.name, each.every) for each in sinks.jobs] == [("resend am", timedelta(seconds=30))]
        assert await sinks.jobs[0].work()

"""The daemon: everything started in order, and drained in the opposite one."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from monitor import __version__, events, logs
from monitor.app.opening import clock, prepare, run_in_loop
from monitor.app.parts import Parts, evaluator
from monitor.app.privacy import client_user_id
from monitor.app.sinks import Sinks
from monitor.errors import ConfigurationError, StoreUnavailable
from monitor.evaluator import EvaluationLoop
from monitor.exporter import Exporter
from monitor.metrics import ProgrammeMetrics
from monitor.notifier import Notifier
from monitor.scheduler import EVALUATE_TICK, NOTIFY_TICK, POLL_TICK, SIZE_UP_EVERY, TURN_TICK, Scheduler
from monitor.server import Access, Certificate, Server
from monitor.store import occupied, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.core.judge import Verdict
    from monitor.ports import Store

DATABASE_RETRY: Final = 2.0
"""Seconds between two attempts to reach the database at start."""
LAST_DECISIONS: Final = 5.0
"""Seconds that the last decisions on alerts may take at the end."""
LAST_NOTICES: Final = 5.0
"""Seconds that telling the last notices may take at the end."""
DRAIN_SLACK: Final = 2.0
"""Seconds that the last commit may take beyond ``poll.timeout``."""


def revision() -> str:
    """Return the revision that an image was built from: the text of ``REVISION`` in the package, else ``unknown``."""
    try:
        return Path(__file__).parents[1].joinpath("REVISION").read_text("utf-8").strip() or "unknown"
    except OSError:
        return "unknown"


def refuse(error: Exception, config: Config | None) -> None:
    """Log that the daemon cannot start, and what to do about it; ``config`` is None where that is what is wrong."""
    reason = "; ".join(error.faults) if isinstance(error, ConfigurationError) else str(error)
    logs.configure("error", config.log.format if config else "auto").error(events.MONITOR_REFUSED, reason=reason)


def run(config: Config) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit code.

    Raises:
        MonitorError: it cannot start; the text is one line for a person.
    """
    return run_in_loop(Daemon(config).run())


class Daemon:
    """One process of the monitor."""

    def __init__(self, config: Config) -> None:
        config.require_targets()
        self._config = config
        self._stop = asyncio.Event()
        self._log = logs.configure(config.log.level, config.log.format)
        self._scheduler = Scheduler()
        self._metrics = ProgrammeMetrics(
            CollectorRegistry(),
            targets=list(config.require_targets()),
            sinks=config.alerts.sink_names,
            revision=revision(),
        )
        self._awaits_database = True

    async def run(self) -> int:
        """Start, work until a signal comes, drain, and return the exit code."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stop.set)
        async with AsyncExitStack() as stack:
            stack.enter_context(occupied(self._config.database.address))
            store = open_store(self._config.database.address, client_user_id(self._config.privacy))
            stack.push_async_callback(store.aclose)
            parts = Parts(self._config, store, self._metrics, self._log, self._wake_evaluation)
            stack.push_async_callback(parts.aclose)
            self._sinks = Sinks(self._config, store.outbox, self._metrics, parts.availability, self._log)
            stack.push_async_callback(self._sinks.aclose)
            self._notifier = Notifier(self._sinks.couriers)
            self._evaluation = EvaluationLoop(
                evaluator(self._config, store),
                availability=parts.availability,
                log=self._log,
                on_told=self._notifier.tick,
            )
            server = self._make_server(store)
            await server.start()
            stack.push_async_callback(server.stop)
            if await self._reach_database(parts):
                self._log.info(events.MONITOR_STARTED, **self._facts(server.port))
                code = await self._work(store, parts)
                self._log.info(events.MONITOR_STOPPED, exit_code=code)
                return code
            return 0

    async def _reach_database(self, parts: Parts) -> bool:
        """Wait for a server that does not answer yet; a file that cannot be opened is an error at once."""
        while not self._stop.is_set():
            try:
                await prepare(self._config)
            except StoreUnavailable as error:
                if self._config.database.address.startswith("sqlite"):
                    raise
                parts.availability.lost("start", error)
                await self._stop_within(DATABASE_RETRY)
            else:
                parts.availability.answered("start")
                self._awaits_database = False
                return True
        return False

    async def _work(self, store: Store, parts: Parts) -> int:
        await store.polls.recover()
        await parts.size_up()
        for each in parts.targets.values():
            await parts.bring_forward(each)
        polling = asyncio.create_task(parts.poller.run())
        evaluating = asyncio.create_task(self._evaluation.run())
        notifying = asyncio.create_task(self._notifier.run())
        self._schedule(parts)
        watching = asyncio.create_task(self._scheduler.watch_clock(parts.clock_stepped))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopping, polling, evaluating, notifying}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        crashed = polling.done() or evaluating.done() or notifying.done()
        await self._drain(parts, polling, evaluating, notifying)
        stopping.cancel()
        return 1 if crashed else 0

    async def _drain(
        self,
        parts: Parts,
        polling: asyncio.Task[None],
        evaluating: asyncio.Task[None],
        notifying: asyncio.Task[None],
    ) -> None:
        self._log.info(events.MONITOR_DRAINING, in_hand=parts.poller.in_hand)
        self._scheduler.stop()
        parts.poller.stop()
        await parts.turns.stop()
        await self._finish(polling, self._config.poll.timeout.total_seconds() + DRAIN_SLACK, "poll")
        self._evaluation.stop()
        await self._finish(evaluating, LAST_DECISIONS, "evaluate")
        self._notifier.stop()
        await self._finish(notifying, LAST_NOTICES, "notify")

    async def _finish(self, task: asyncio.Task[None], within: float, job: str) -> None:
        try:
            await asyncio.wait_for(task, within)
        except TimeoutError:
            self._log.warning(events.JOB_CRASHED, job=job, reason=f"not drained within {within:g} s")
        except Exception:  # noqa: BLE001 - the rest is drained all the same
            self._log.exception(events.JOB_CRASHED, job=job)

    def _schedule(self, parts: Parts) -> None:
        self._scheduler.tick(POLL_TICK, "poll", parts.poller.tick)
        self._scheduler.tick(EVALUATE_TICK, "evaluate", self._evaluation.tick)
        self._scheduler.tick(NOTIFY_TICK, "notify", self._notifier.tick)
        for job in [*parts.jobs(), *self._sinks.jobs]:
            self._scheduler.tick(TURN_TICK, job.name, partial(parts.turns.tick, job))
        self._scheduler.every(SIZE_UP_EVERY, "size-up", parts.size_up)
        self._scheduler.start()

    def _make_server(self, store: Store) -> Server:
        exporter = Exporter(
            metrics=self._metrics,
            store=store,
            rates={name: each.max_requests_per_second for name, each in self._config.require_targets().items()},
            interval=self._config.poll.interval,
            clock=clock,
            sinks=self._config.alerts.sink_names,
        )
        http = self._config.http
        return Server(
            host=http.host,
            port=http.port,
            exporter=exporter,
            ping=store.views.ping,
            failing=self._what_fails,
            access=Access(bearer=http.bearer, basic=http.basic),
            certificate=self._certificate(),
        )

    def _certificate(self) -> Certificate | None:
        http = self._config.http
        if http.tls_cert_file is None or http.tls_key_file is None:
            return None
        return Certificate(Path(http.tls_cert_file), Path(http.tls_key_file))

    def _what_fails(self) -> list[str]:
        # Nothing ticks before the database answers; a restart would not bring it back.
        return [] if self._awaits_database or self._scheduler.alive else ["scheduler"]

    def _wake_evaluation(self, verdicts: Sequence[Verdict]) -> None:
        if any(each.change and each.change.transitions for each in verdicts):
            self._evaluation.tick()

    def _facts(self, port: int) -> dict[str, object]:
        poll = self._config.poll
        return {
            "version": __version__,
            "targets": sorted(self._config.require_targets()),
            "database": self._config.database.address.split(":", 1)[0],
            "interval_seconds": poll.interval.total_seconds(),
            "concurrency": poll.concurrency,
            "http_port": port,
        }

    async def _stop_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

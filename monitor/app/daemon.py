"""The daemon: everything started in order, and drained in the opposite one."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from monitor import __version__, events, logs
from monitor.app.exit_deadline import ExitDeadline
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
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.core.judge import Verdict
    from monitor.job_border import JobBorder
    from monitor.ports import Store

DATABASE_RETRY: Final = 2.0
"""Seconds between two attempts to reach the database at start."""
SHUTDOWN_SLACK: Final = 10.0
"""Seconds after ``poll.timeout`` in which the process exits after a signal, whatever the database does."""
LAST_NOTICES: Final = 5.0
"""Of these, what is kept for the last notifications; :data:`monitor.notifier.LAST_TRY` is a little less."""
LAST_DECISIONS: Final = 2.0
"""Of these, what is kept for the last evaluation."""
CLOSING: Final = 1.0
"""Of these, what is kept for closing connections."""


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
    with ExitDeadline() as deadline:
        return run_in_loop(Daemon(config, deadline).run())


class Daemon:
    """One process of the monitor."""

    def __init__(self, config: Config, deadline: ExitDeadline) -> None:
        config.require_targets()
        self._config = config
        self._deadline = deadline
        self._stop = asyncio.Event()
        self._log, self._log_writer = logs.configure_daemon(config.log.level, config.log.format)
        self._scheduler = Scheduler()
        self._metrics = ProgrammeMetrics(
            CollectorRegistry(),
            targets=list(config.require_targets()),
            sinks=config.alerts.sink_names,
            revision=revision(),
        )
        self._supervisor = Supervisor(self._metrics, self._log, on_essential_end=self._stop.set)
        self._supervisor.watch_thread("log", lambda: self._log_writer.is_alive)
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
            self._sinks = Sinks(self._config, store.outbox, self._metrics, parts.border, self._log)
            stack.push_async_callback(self._sinks.aclose)
            self._notifier = Notifier(self._sinks.couriers)
            self._evaluation = EvaluationLoop(
                evaluator(self._config, store, self._metrics, self._log),
                border=parts.border,
                on_told=self._notifier.tick,
            )
            server = self._make_server(store, parts.border)
            await server.start()
            self._supervisor.watch("http server", server.task, essential=True)
            stack.push_async_callback(server.stop)
            stack.callback(self._supervisor.expect_ends)
            if await self._reach_database(parts):
                self._log.info(events.MONITOR_STARTED, **self._facts(server.port))
                code = await self._work(store, parts)
                self._log.info(events.MONITOR_STOPPED, exit_code=code)
                return code
            return self._exit_code()

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
        start = self._supervisor.start
        polling = start("poll", parts.poller.run(), essential=True)
        evaluating = start("evaluate", self._evaluation.run(), essential=True)
        notifying = start("notify", self._notifier.run(), essential=True)
        self._schedule(parts)
        watching = start("clock watch", self._scheduler.watch_clock(parts.clock_stepped))
        await self._stop.wait()
        self._supervisor.expect_ends()
        watching.cancel()
        await self._drain(parts, polling, evaluating, notifying)
        return self._exit_code()

    async def _drain(
        self,
        parts: Parts,
        polling: asyncio.Task[None],
        evaluating: asyncio.Task[None],
        notifying: asyncio.Task[None],
    ) -> None:
        """Finish what is in flight: polls, then what they lead to. Time that one step leaves is the next one's."""
        within = self._config.poll.timeout.total_seconds() + SHUTDOWN_SLACK
        end = time.monotonic() + within
        self._deadline.start(within, self._exit_code(), self._say_that_it_hangs)
        self._log.info(events.MONITOR_DRAINING, in_hand=parts.poller.in_hand)
        self._scheduler.stop()
        parts.poller.stop()
        giving_back = asyncio.create_task(parts.turns.stop())
        await self._finish(polling, end - LAST_DECISIONS - LAST_NOTICES - CLOSING, "poll")
        self._evaluation.stop()
        await self._finish(evaluating, end - LAST_NOTICES - CLOSING, "evaluate")
        self._notifier.stop()
        await self._finish(notifying, end - CLOSING, "notify")
        await self._finish(giving_back, end - CLOSING, "recurring jobs")

    async def _finish(self, task: asyncio.Task[None], until: float, job: str) -> None:
        """Wait for a task until so late on the monotonic clock; one that goes on is cancelled and not waited for."""
        within = max(0.0, until - time.monotonic())
        await asyncio.wait({task}, timeout=within)
        if not task.done():
            self._log.warning(events.JOB_CRASHED, job=job, reason=f"not finished {within:.0f} s after it was stopped")
            task.cancel()

    def _exit_code(self) -> int:
        return 1 if self._supervisor.has_essential_ended else 0

    def _say_that_it_hangs(self) -> None:
        code = self._exit_code()
        self._log.warning(events.MONITOR_STOPPED, exit_code=code, reason="some work could not be ended in time")
        self._log_writer.finish()

    def _schedule(self, parts: Parts) -> None:
        self._scheduler.tick(POLL_TICK, "poll", parts.poller.tick)
        self._scheduler.tick(EVALUATE_TICK, "evaluate", self._evaluation.tick)
        self._scheduler.tick(NOTIFY_TICK, "notify", self._notifier.tick)
        for job in [*parts.jobs(), *self._sinks.jobs]:
            self._scheduler.tick(TURN_TICK, job.name, partial(parts.turns.tick, job))
        self._scheduler.tick(TURN_TICK, "threads", self._supervisor.check_threads)
        self._scheduler.every(SIZE_UP_EVERY, "size-up", parts.size_up)
        self._scheduler.start()

    def _make_server(self, store: Store, border: JobBorder) -> Server:
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
            unready=border.failing,
            access=Access(bearer=http.bearer, basic=http.basic),
            certificate=self._certificate(border),
        )

    def _certificate(self, border: JobBorder) -> Certificate | None:
        http = self._config.http
        if http.tls_cert_file is None or http.tls_key_file is None:
            return None
        guard = partial(border, "certificate")
        return Certificate(Path(http.tls_cert_file), Path(http.tls_key_file), border=guard)

    def _what_fails(self) -> list[str]:
        # Nothing ticks before the database answers; a restart would not bring it back.
        scheduler = [] if self._awaits_database or self._scheduler.alive else ["scheduler"]
        return [*scheduler, *self._supervisor.ended()]

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

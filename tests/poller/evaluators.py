"""Evaluators whose log and metrics nobody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from structlog.testing import LogCapture

from monitor.evaluator import Evaluator
from tests.poller.world import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.core.policy import Policy
    from monitor.ports import Alerts


def quiet_evaluator(alerts: Alerts, policy: Policy, clock: Callable[[], datetime]) -> Evaluator:
    """Return an evaluator that queues notifications for the log."""
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[LogCapture()])
    return Evaluator(alerts=alerts, policy=policy, sinks=["log"], metrics=Recorded(), log=log, clock=clock)

"""How everything is put together, started, drained and closed."""

from monitor.app.daemon import run
from monitor.app.once import PollSummary, poll_once
from monitor.app.opening import opened

__all__ = ["PollSummary", "opened", "poll_once", "run"]

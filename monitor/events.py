"""The events of the log: dotted constants; their data stands in keys."""

from typing import Final

MONITOR_STARTED: Final = "monitor.started"
MONITOR_DRAINING: Final = "monitor.draining"
MONITOR_STOPPED: Final = "monitor.stopped"
TARGET_REJECTED: Final = "target.rejected"
TARGET_UNREACHABLE: Final = "target.unreachable"
TARGET_RECOVERED: Final = "target.recovered"
TARGET_THROTTLED: Final = "target.throttled"
USER_INVALID: Final = "user.invalid"
POLL_CRASHED: Final = "poll.crashed"
JOB_CRASHED: Final = "job.crashed"
DATABASE_LOST: Final = "database.lost"
DATABASE_RECOVERED: Final = "database.recovered"
DISCOVERY_FINISHED: Final = "discovery.finished"
DISCOVERY_FAILED: Final = "discovery.failed"
CONNECTION_ALERT: Final = "connection.alert"

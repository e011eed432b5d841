"""The poller: claim, fetch, read, decide, commit, report; overlapping and bounded."""

from monitor.poller.poller import Poller, PollerSettings
from monitor.poller.target import Target, TargetSettings

__all__ = ["Poller", "PollerSettings", "Target", "TargetSettings"]

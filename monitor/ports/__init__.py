"""What the loops ask of Junction, of the store and of the metrics, as protocols and values."""

from monitor.ports.junction import Answer, Junction, ListedUser, UserPage
from monitor.ports.metrics import Metrics, Poll
from monitor.ports.store import (
    Claimed,
    Cohort,
    Cursor,
    Granted,
    Member,
    Notice,
    Outbox,
    Polls,
    Pruned,
    Registered,
    Store,
    Upkeep,
)
from monitor.ports.views import ConnectionView, Freshness, PastSnapshot, TransitionFilter, Views

__all__ = [
    "Answer",
    "Claimed",
    "Cohort",
    "ConnectionView",
    "Cursor",
    "Freshness",
    "Granted",
    "Junction",
    "ListedUser",
    "Member",
    "Metrics",
    "Notice",
    "Outbox",
    "PastSnapshot",
    "Poll",
    "Polls",
    "Pruned",
    "Registered",
    "Store",
    "TransitionFilter",
    "Upkeep",
    "UserPage",
    "Views",
]

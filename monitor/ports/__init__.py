"""What the loops ask of Junction, of the store and of the metrics, as protocols and values."""

from monitor.ports.junction import Answer, Junction, ListedUser, UserPage
from monitor.ports.metrics import Metrics
from monitor.ports.store import Cohort, Member, Notice, Outbox, Polls, Registered, Store
from monitor.ports.views import ConnectionView, Freshness, PastSnapshot, TransitionFilter, Views

__all__ = [
    "Answer",
    "Cohort",
    "ConnectionView",
    "Freshness",
    "Junction",
    "ListedUser",
    "Member",
    "Metrics",
    "Notice",
    "Outbox",
    "PastSnapshot",
    "Polls",
    "Registered",
    "Store",
    "TransitionFilter",
    "UserPage",
    "Views",
]

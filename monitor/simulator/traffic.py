"""What was asked of the simulator, counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.simulator.wire import Reply


class Traffic:
    """Counts requests by status code and polls by user, and who was polled by several at once.

    A request is in flight from its last byte in to its last byte out; one that never was answered counts under
    ``aborted``. Overlaps show only where answers take time: add latency to look for them.
    """

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_for_one_user = 0
        self._open = 0
        self._open_users: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many requests are in flight now."""
        return self._open

    def begin(self, reply: Reply) -> None:
        """A request has arrived that will get ``reply``."""
        user_id = reply.user_id
        if not reply.counted:
            return
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        if user_id is not None:
            self.polls[user_id] += 1
            self._open_users[user_id] += 1
            self.most_for_one_user = max(self.most_for_one_user, self._open_users[user_id])

    def end(self, reply: Reply, code: str) -> None:
        """The request that ``reply`` was for has ended with this status code, or ``aborted``."""
        user_id = reply.user_id
        if not reply.counted:
            return
        self._open -= 1
        self.codes[code] += 1
        if user_id is not None:
            self._open_users[user_id] -= 1
            if not self._open_users[user_id]:
                del self._open_users[user_id]

    def summary(self, *, users: bool = False) -> dict[str, Any]:
        """Return all counts for JSON, with ``users`` the polls of each user too."""
        counts: dict[str, Any] = {
            "requests": self.codes.total(),
            "requests_by_code": dict(sorted(self.codes.items())),
            "polls": self.polls.total(),
            "polled_users": len(self.polls),
            "in_flight": self._open,
            "most_in_flight": self.most_at_once,
            "most_in_flight_for_one_user": self.most_for_one_user,
        }
        return counts | ({"polls_by_user": dict(self.polls)} if users else {})

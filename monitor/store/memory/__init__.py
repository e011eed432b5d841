"""The store in plain dictionaries: the twin of the SQL store, with the same meaning and no memory of its own.

It ships with the package, so that whatever stands on the store can be tried without a database. Every method runs
to its end without waiting, which is what makes it atomic: all is built first, then applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.memory.alerts import MemoryAlerts
from monitor.store.memory.cohort import MemoryCohort
from monitor.store.memory.outbox import MemoryOutbox
from monitor.store.memory.personal import MemoryPersonalData
from monitor.store.memory.polls import MemoryPolls
from monitor.store.memory.tables import Tables
from monitor.store.memory.upkeep import MemoryUpkeep
from monitor.store.memory.views import MemoryViews

if TYPE_CHECKING:
    from monitor.ports import Hide

__all__ = ["MemoryStore"]


class MemoryStore:
    """One store; it is gone with the process."""

    def __init__(self, client_user_id: Hide = str) -> None:
        """Start empty; ``client_user_id`` returns what is stored of a user's own name at the customer."""
        tables = Tables()
        self._polls = MemoryPolls(tables)
        self._alerts = MemoryAlerts(tables)
        self._outbox = MemoryOutbox(tables)
        self._cohort = MemoryCohort(tables, client_user_id)
        self._upkeep = MemoryUpkeep(tables)
        self._personal = MemoryPersonalData(tables)
        self._views = MemoryViews(tables)

    @property
    def polls(self) -> MemoryPolls:
        """The queue."""
        return self._polls

    @property
    def alerts(self) -> MemoryAlerts:
        """The decisions on alerts."""
        return self._alerts

    @property
    def outbox(self) -> MemoryOutbox:
        """What is to be told."""
        return self._outbox

    @property
    def cohort(self) -> MemoryCohort:
        """Who is watched."""
        return self._cohort

    @property
    def upkeep(self) -> MemoryUpkeep:
        """What is done now and then by one for all."""
        return self._upkeep

    @property
    def personal(self) -> MemoryPersonalData:
        """The personal data."""
        return self._personal

    @property
    def views(self) -> MemoryViews:
        """Questions."""
        return self._views

    async def aclose(self) -> None:
        """Do nothing: there is nothing to give back."""

"""One database: the queue, the memory and the meeting point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.alerts import SqlAlerts
from monitor.store.cohort import SqlCohort
from monitor.store.counting import TargetIds
from monitor.store.engine import Database
from monitor.store.occupancy import occupied
from monitor.store.outbox import SqlOutbox
from monitor.store.personal import SqlPersonalData
from monitor.store.polls import SqlPolls
from monitor.store.schema import Schema
from monitor.store.upkeep import SqlUpkeep
from monitor.store.views import SqlViews

if TYPE_CHECKING:
    from monitor.ports import Hide

__all__ = ["Schema", "SqlStore", "occupied", "open_store"]


class SqlStore:
    """A SQLite file or a PostgreSQL database."""

    def __init__(self, url: str, client_user_id: Hide = str) -> None:
        self._database = Database(url)
        target_ids = TargetIds()
        self._polls = SqlPolls(self._database, target_ids)
        self._alerts = SqlAlerts(self._database, target_ids)
        self._outbox = SqlOutbox(self._database)
        self._cohort = SqlCohort(self._database, target_ids, client_user_id)
        self._upkeep = SqlUpkeep(self._database)
        self._personal = SqlPersonalData(self._database)
        self._views = SqlViews(self._database, target_ids)

    @property
    def polls(self) -> SqlPolls:
        """The queue."""
        return self._polls

    @property
    def alerts(self) -> SqlAlerts:
        """The decisions on alerts."""
        return self._alerts

    @property
    def outbox(self) -> SqlOutbox:
        """What is to be told."""
        return self._outbox

    @property
    def cohort(self) -> SqlCohort:
        """Who is watched."""
        return self._cohort

    @property
    def upkeep(self) -> SqlUpkeep:
        """What is done now and then by one for all."""
        return self._upkeep

    @property
    def personal(self) -> SqlPersonalData:
        """The personal data."""
        return self._personal

    @property
    def views(self) -> SqlViews:
        """Questions."""
        return self._views

    async def aclose(self) -> None:
        """Give every connection back."""
        await self._database.aclose()


def open_store(url: str, client_user_id: Hide = str) -> SqlStore:
    """Return the store at ``url`` (``sqlite:///…`` or ``postgresql://…``); it connects when first asked.

    ``client_user_id`` returns what is stored of a user's own name at the customer.
    """
    return SqlStore(url, client_user_id)

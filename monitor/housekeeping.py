"""What keeps the house beside polling: discovery, the vendor's own total for comparison, and the pruning of old facts.

Each job ends by itself, logs what is wrong with it, and returns whether it did what it is for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor import events
from monitor.core.target_health import Fault
from monitor.discovery import discover, list_users
from monitor.errors import StoreUnavailable
from monitor.ports import StoredForm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from monitor.pacing import Pacer
    from monitor.ports import Cohort, Hide, Junction, PersonalData, Subject, Upkeep, Views

CROSS_CHECK_EVERY: Final = timedelta(minutes=5)
CHECK_ABSENCES_EVERY: Final = timedelta(minutes=1)
"""As often as a second 404 may come; the list itself is read only while many users are not found."""
PRUNE_EVERY: Final = timedelta(hours=6)
PRIVACY_EVERY: Final = timedelta(minutes=1)
"""So soon after a start stored data follows a changed configuration; otherwise it is one small question."""
LOOK_AGAIN_AFTER: Final = timedelta(hours=1)
"""After a first pass over personal data: until then a replica of before may have written the earlier form."""
USERS_AT_ONCE: Final = 200
"""Users whose personal data is rewritten in one transaction, with all their snapshots."""
PLAIN: Final = "plain"
AT_ONCE: Final = 1000
"""Rows that are pruned in one transaction."""
UNCONFIGURED_AFTER: Final = timedelta(days=3)
"""The default of ``give_up_after``: a sink that was taken out by mistake may come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetJobs:
    """The slow jobs of one target."""

    target: str
    junction: Junction
    pacer: Pacer
    cohort: Cohort
    upkeep: Upkeep
    views: Views
    log: FilteringBoundLogger
    clock: Callable[[], datetime]

    async def discover(self) -> bool:
        """Register every user that the target lists."""
        try:
            found = await discover(self.target, self.junction, self.cohort, self.clock, self.pacer.turn)
        except StoreUnavailable as error:
            self.log.warning(events.DISCOVERY_FAILED, target=self.target, reason=str(error))
            return False
        facts = {"target": self.target, "listed": found.listed, "added": found.added}
        if not found.complete:
            self.log.warning(events.DISCOVERY_FAILED, **facts, reason=found.failure)
            return False
        self.log.info(events.DISCOVERY_FINISHED, **facts)
        return True

    async def check_absences(self) -> bool:
        """While many users are answered 404, read the user list: it tells who was really deleted."""
        health = (await self.views.health()).get(self.target)
        if health is None or Fault.NOT_FOUND not in health.verdicts:
            return True
        found = await list_users(self.junction, self.clock, self.pacer.turn)
        if found.complete:
            await self.cohort.note_list(self.target, found.user_ids, found.started_at)
        return found.complete

    async def cross_check(self) -> bool:
        """Fetch the vendor's own total of errored connections, to be shown beside ours."""
        await self.pacer.turn()
        errored = await self.junction.errored_connections()
        await self.upkeep.keep_reported(self.target, errored, now=self.clock())
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is past is kept; ``transitions`` holds for resolved alerts and written notices too."""

    snapshots: timedelta
    transitions: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """Deletes what is older than its retention, in small batches with a pause between them.

    Notifications for a sink that is none of ``sinks`` are given up after three days.
    """

    upkeep: Upkeep
    retention: Retention
    sinks: Collection[str]
    log: FilteringBoundLogger
    clock: Callable[[], datetime]
    pause: Callable[[], Awaitable[None]]

    async def prune(self) -> bool:
        """Prune everything once."""
        now = self.clock()
        old, older = now - self.retention.snapshots, now - self.retention.transitions
        snapshots = await self._all(lambda: self.upkeep.prune_snapshots(old, limit=AT_ONCE))
        alerts = await self._all(lambda: self.upkeep.prune_alerts(older, limit=AT_ONCE))
        transitions = await self._transitions(older)
        counts = await self.upkeep.prune_counts()
        await self._give_up_unconfigured(now)
        await self.upkeep.purge_log()  # of users that were erased while another program read the database, too
        self.log.info(
            events.PRUNING_FINISHED, snapshots=snapshots, transitions=transitions, alerts=alerts, counts=counts
        )
        return True

    async def _give_up_unconfigured(self, now: datetime) -> None:
        total: Counter[str] = Counter()
        before = now - UNCONFIGURED_AFTER
        while given_up := await self.upkeep.give_up_unconfigured(self.sinks, before=before, now=now, limit=AT_ONCE):
            total.update(given_up)
            await self.pause()
        for sink, count in sorted(total.items()):
            self.log.warning(events.SINK_GAVE_UP, sink=sink, notifications=count, reason="not configured")

    async def _all(self, step: Callable[[], Awaitable[int]]) -> int:
        total = deleted = await step()
        while deleted:
            await self.pause()
            deleted = await step()
            total += deleted
        return total

    async def _transitions(self, before: datetime) -> int:
        total, cursor, ended = 0, None, False
        while not ended:
            step = await self.upkeep.prune_transitions(before, limit=AT_ONCE, cursor=cursor)
            total, cursor, ended = total + step.deleted, step.cursor, step.cursor is None
            await self.pause()
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyMode:
    """How a subject is to be stored: the name of the form, and what makes it of a stored value."""

    mode: str
    hide: Hide


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRewriting:
    """Brings stored personal data into the form that is configured, some users at a time.

    It may be stopped at any time: what is in its form already is left alone by the next pass.
    """

    personal: PersonalData
    modes: Mapping[Subject, PrivacyMode]
    log: FilteringBoundLogger
    clock: Callable[[], datetime]
    pause: Callable[[], Awaitable[None]]

    async def rewrite(self) -> bool:
        """Rewrite what is not in its form, and look at it once more an hour later."""
        forms = await self.personal.forms()
        for subject, wanted in self.modes.items():
            form, now = forms.get(subject), self.clock()
            known = form if form is not None and form.mode == wanted.mode else None
            if known is not None and (known.settled or timedelta(0) <= now - known.rewritten_at < LOOK_AGAIN_AFTER):
                continue
            changed = await self._rewrite(subject, wanted)
            form = StoredForm(mode=wanted.mode, rewritten_at=now, settled=known is not None)
            await self.personal.note_form(subject, form)
            if changed:
                facts = {"subject": subject.value, "mode": wanted.mode, "values": changed}
                self.log.info(events.PRIVACY_REWRITTEN, **facts)
        return True

    async def _rewrite(self, subject: Subject, wanted: PrivacyMode) -> int:
        """Return how many values were changed; in plain they are what they are."""
        changed, after = 0, None if wanted.mode == PLAIN else 0
        while after is not None:
            step = await self.personal.hide(subject, wanted.hide, after=after, limit=USERS_AT_ONCE)
            changed, after = changed + step.changed, step.after
            await self.pause()
        return changed

"""What registration, removal and addition of users mean for their alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerting import AlertKind, AlertState, is_new_error
from monitor.core.diff import diff
from monitor.core.evaluation import Docket, Entry, evaluate
from monitor.core.membership import UserOrigin, restore_alerts
from monitor.core.model import Connection, Kind, User
from monitor.core.policy import Policy, Severity
from tests.core import soundness
from tests.core.lives import Answer, Life, stories
from tests.core.samples import LATER, NOON, USER, broken, connected, errored, only, snapshot, state
from tests.core.strategies import policies
from tests.core.test_alerting import FLAPPING, MINUTE, Story, flap

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.core.alerting import Alert, Slot
    from monitor.core.model import Transition

LOUD = Policy()
FIRST = only(diff(state(observed_at=None), snapshot(broken()), NOON))
ERRORED_AT = NOON - timedelta(hours=1)


@pytest.mark.parametrize(
    ("registered_at", "created_on", "discovered_at", "is_news"),
    [
        (ERRORED_AT - MINUTE, None, None, True),
        (ERRORED_AT, None, None, False),
        (NOON, NOON, None, False),
        (NOON, None, NOON, False),
        (NOON, NOON, NOON, False),
        (NOON, NOON, NOON - MINUTE, True),
    ],
)
def test_an_error_in_a_first_snapshot_is_news_where_it_or_its_user_is_young(
    registered_at: datetime, created_on: datetime | None, discovered_at: datetime | None, is_news: bool
) -> None:
    """Younger than the registration here, or than the first discovery."""
    origin = UserOrigin(registered_at=registered_at, created_on=created_on, discovered_at=discovered_at)
    assert origin.makes_news(FIRST) is is_news
    assert not origin.makes_news(replace(FIRST, errored_at=None, baseline=False))
    assert not origin.makes_news(replace(FIRST, kind=Kind.APPEARED))


def test_news_in_a_first_snapshot_fires() -> None:
    """And nothing else in it does."""
    young = UserOrigin(registered_at=ERRORED_AT - MINUTE)
    told = {}
    for origin in (young, UserOrigin(registered_at=NOON), None):
        entry = Entry(number=1, user=USER, transition=FIRST, origin=origin)
        told[origin] = [each.state for each in evaluate(Docket(entries=[entry]), LOUD, NOON).decisions if each.told]
    assert list(told.values()) == [[AlertState.FIRING], [], []]
    assert not Entry(number=1, user=USER, transition=None, origin=young).is_news


def ended_alert(story: Story | None = None) -> Alert:
    """Return the alert of a broken connection that the removal of its user ended."""
    if story is None:
        story = Story(LOUD, connected())
        story.see(broken())
    (decision,) = story.desk.meet([], story.now, removed=[USER])
    return decision.alert


def restored(ended: Alert, row: Connection | None, policy: Policy = LOUD) -> list[Alert]:
    """Return the alerts that begin again where a connection is like this."""
    standing: dict[Slot, Alert] = {}
    rows = {row.provider: row} if row else {}
    return [each.alert for each in restore_alerts(policy, standing, [ended], rows, LATER)]


def test_an_error_that_outlasts_a_removal_begins_again() -> None:
    """As another alert about the same transition, as its connection is now."""
    ended, row = ended_alert(), replace(broken(), errored_at=LATER)
    (alert,) = restored(ended, row)
    assert alert.id != ended.id
    assert (alert.began_by, alert.state, alert.due_at) == (ended.began_by, AlertState.PENDING, LATER)
    assert alert.errored_at == LATER
    (again,) = restored(alert, row)
    assert again.id not in {alert.id, ended.id}


@pytest.mark.parametrize("row", [None, connected(), broken(error_type="user_not_found")])
def test_an_error_that_did_not_outlast_it_does_not(row: Connection | None) -> None:
    """What came in its place has its own transition."""
    assert restored(ended_alert(), row) == []


def test_an_error_of_severity_none_does_not_begin_again() -> None:
    """Nobody wants it by now."""
    assert restored(ended_alert(), broken(), Policy(otherwise=Severity.NONE)) == []


def test_an_unknown_status_that_outlasts_a_removal_begins_again() -> None:
    """Another one was observed anew and has its own transition."""
    story = Story(LOUD, connected())
    row = Connection(provider="fitbit", status="ingesting")
    story.see(row)
    ended = ended_alert(story)
    assert [each.kind for each in restored(ended, row)] == [AlertKind.UNKNOWN_STATUS]
    assert restored(ended, replace(row, status="backfilling")) == []


def test_an_unstable_connection_that_is_in_error_begins_again_as_an_error() -> None:
    """How often it changed before is past."""
    story = Story(FLAPPING, connected())
    flap(story, 5)
    assert [each.kind for each in restored(ended_alert(story), broken())] == [AlertKind.ERROR]


def test_an_alert_on_a_resource_does_not_begin_again() -> None:
    """Only errors and unknown statuses do."""
    assert restored(replace(ended_alert(), kind=AlertKind.RESOURCE_LOST), broken()) == []


def test_what_an_earlier_removal_ended_begins_again() -> None:
    """It is read with the addition; a new error in its place keeps it from doing so."""
    ended = ended_alert()
    added = [Entry(number=1, user=USER, transition=None, is_added=True)]
    docket = Docket(entries=added, removed=[ended], connections={USER: {"fitbit": broken()}})
    assert [each.state for each in evaluate(docket, LOUD, LATER).decisions if each.told] == [AlertState.FIRING]
    broke = Entry(number=2, user=USER, transition=errored())
    decisions = evaluate(replace(docket, entries=[*added, broke]), LOUD, LATER).decisions
    assert [each.alert.began_by for each in decisions if each.told] == [errored().id]


def test_an_error_begins_for_certain_where_it_is_another_one() -> None:
    """Neither where it is only stamped anew nor after an unknown status, which may have hidden the same one."""
    assert is_new_error(errored())
    assert not is_new_error(replace(errored(), previous_status="ingesting"))
    changed = replace(errored(), kind=Kind.ERROR_CHANGED, previous_error_type="token_refresh_failed")
    assert changed.repeats_error
    assert not is_new_error(changed)


def test_a_removal_and_an_addition_at_once_are_both_followed() -> None:
    """Late decisions lose nothing: the alert ends, and begins again with the transition that it is about."""
    cause = errored()
    story = [
        Entry(number=1, user=USER, transition=cause),
        Entry(number=2, user=USER, transition=None),
        Entry(number=3, user=USER, transition=None, is_added=True),
    ]
    docket = Docket(entries=story, connections={USER: {"fitbit": broken()}})
    outcome = evaluate(docket, LOUD, LATER)
    soundness.of_outcome(docket, outcome, LOUD, LATER)
    told = [each for each in outcome.decisions if each.told]
    assert [each.state for each in told] == [AlertState.FIRING, AlertState.RESOLVED, AlertState.FIRING]
    assert told[-1].transition == cause
    gone = replace(docket, entries=[*story, Entry(number=4, user=USER, transition=None)])
    assert evaluate(gone, LOUD, LATER).decisions[-1].state is AlertState.RESOLVED


OTHER = User(target=USER.target, user_id=UUID(int=77))
Lived = list[tuple[Answer, timedelta]]


@given(policies, stories, stories, st.booleans())
def test_one_user_more_changes_no_decision_on_the_others(
    policy: Policy, story: Lived, hostile: Lived, is_removed: bool
) -> None:
    """Taken out of the input, a user takes exactly its own output with it."""
    ours, theirs = _transitions(policy, story), [_as_other(each) for each in _transitions(policy, hostile)]
    found = [Entry(number=0, user=each.user, transition=each) for each in (*theirs[::2], *ours, *theirs[1::2])]
    if is_removed:
        found += [
            Entry(number=0, user=OTHER, transition=None),
            Entry(number=0, user=OTHER, transition=None, is_added=True),
        ]
    now = max([NOON, *(each.observed_at for each in (*ours, *theirs))])
    alone = evaluate(Docket(entries=[each for each in found if each.user == USER]), policy, now)
    together = evaluate(Docket(entries=found), policy, now)
    assert [each for each in together.decisions if each.alert.user == USER] == list(alone.decisions)


def _transitions(policy: Policy, story: Lived) -> list[Transition]:
    life, now = Life(policy), NOON
    for answer, step in story:
        now += abs(step)
        life.meet(answer, now)
    return [each for each in life.transitions if not each.baseline]


def _as_other(each: Transition) -> Transition:
    return replace(each, user_id=OTHER.user_id, id=UUID(int=each.id.int ^ 1))

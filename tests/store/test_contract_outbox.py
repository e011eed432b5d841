from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.core.alerting import AlertState
from monitor.events import INCIDENT_ALERT
from monitor.ports import Done
from tests.store.telling import LEASE, alert_id, payload

if TYPE_CHECKING:
    from uuid import UUID

    from monitor.ports import Notice
    from tests.store.telling import Teller


def ids(notices: list[Notice]) -> list[UUID]:
    """Return what the notices are about."""
    return [each.alert_id for each in notices]


async def test_a_notice_comes_out_as_it_was_put_in(teller: Teller) -> None:
    """With all that a sink has to know."""
    await teller.tell(1, error_message="naïve — \U0001f6b4")
    (notice,) = await teller.claim()
    assert (notice.event, notice.alert_id, notice.state) == ("connection.alert", alert_id(1), "firing")
    assert (notice.updates, notice.attempts, notice.created_at) == (0, 0, teller.now)
    assert notice.payload == payload(1, error_message="naïve — \U0001f6b4")


async def test_each_sink_has_a_queue_of_its_own(teller: Teller) -> None:
    """What one was told the other still waits for."""
    await teller.tell(1)
    await teller.store.outbox.settle(await teller.claim("log"), Done.DELIVERED, now=teller.now)
    assert await teller.claim("log") == []
    assert ids(await teller.claim("pager")) == [alert_id(1)]
    undelivered = await teller.store.outbox.undelivered()
    assert (undelivered.get("log", 0), undelivered["pager"]) == (0, 1)


async def test_the_oldest_come_first_up_to_the_limit(teller: Teller) -> None:
    """In the order in which they were decided."""
    for number in (3, 1, 2):
        await teller.tell(number)
    assert ids(await teller.claim(limit=2)) == [alert_id(3), alert_id(1)]
    assert ids(await teller.claim(limit=2)) == [alert_id(2)]


async def test_a_notice_in_hand_is_handed_out_again_after_its_lease(teller: Teller) -> None:
    """Whoever had it may have died."""
    await teller.tell(1)
    await teller.claim()
    teller.now += LEASE - timedelta(microseconds=1)
    assert await teller.claim() == []
    teller.later(microseconds=1)
    assert ids(await teller.claim()) == [alert_id(1)]


async def test_a_notice_in_hand_holds_back_the_next_of_its_alert(teller: Teller) -> None:
    """Another replica does not tell that it is over before it is told that it began."""
    await teller.tell(1)
    await teller.tell(1, "resolved")
    (first,) = await teller.claim()
    assert await teller.claim() == []
    await teller.store.outbox.settle([first], Done.DELIVERED, now=teller.now)
    assert await teller.waiting() == [(alert_id(1), "resolved")]


async def test_a_notice_that_waits_for_its_next_attempt_holds_back_the_next_of_its_alert(teller: Teller) -> None:
    """And nothing of another alert, and nothing of another sink."""
    await teller.tell(1)
    await teller.store.outbox.retry(await teller.claim(), "400", at=teller.now + timedelta(minutes=1))
    await teller.tell(1, "resolved")
    await teller.tell(2)
    assert await teller.waiting() == [(alert_id(2), "firing")]
    assert await teller.waiting("log") == [(alert_id(1), "firing"), (alert_id(2), "firing")]
    teller.later(minutes=1)
    assert await teller.waiting() == [(alert_id(1), "firing"), (alert_id(2), "firing")]


async def test_what_was_held_back_is_due_with_what_held_it(teller: Teller) -> None:
    """So that a claim need not look at it in vain, and it is not late either."""
    await teller.tell(1)
    await teller.tell(1, "resolved")
    await teller.store.outbox.retry(await teller.claim(), "400", at=teller.now + timedelta(minutes=1))
    teller.later(minutes=1)
    firing = await teller.claim()
    assert [each.state for each in firing] == ["firing"]
    await teller.store.outbox.settle(firing, Done.DELIVERED, now=teller.now)
    assert await teller.waiting() == [(alert_id(1), "resolved")]


async def test_an_attempt_in_vain_is_counted(teller: Teller) -> None:
    """The count decides when the next one is."""
    await teller.tell(1)
    for attempts in range(3):
        (notice,) = await teller.claim()
        assert notice.attempts == attempts
        await teller.store.outbox.retry([notice], "HTTP 400", at=teller.now)


async def test_what_is_tried_again_crowds_out_nothing_new(teller: Teller) -> None:
    """It takes half of the places, the longest due first; all of them where nothing is new."""
    for number in range(6):
        await teller.tell(number)
    await teller.store.outbox.retry(await teller.claim(), "400", at=teller.now)
    assert len(await teller.waiting()) == 6
    for number in range(10, 16):
        await teller.tell(number)
    assert ids(await teller.claim(limit=4)) == [alert_id(0), alert_id(1), alert_id(10), alert_id(11)]


async def test_only_who_has_a_notice_in_hand_gives_it_back(teller: Teller) -> None:
    """A process that slept through its lease changes nothing of what another one is telling."""
    await teller.tell(1)
    slept = await teller.claim()
    teller.now += LEASE
    taken = await teller.claim()
    await teller.store.outbox.release(slept)
    await teller.store.outbox.retry(slept, "late", at=teller.now + timedelta(days=1))
    assert await teller.claim() == []
    await teller.store.outbox.release(taken)
    assert [each.attempts for each in await teller.claim()] == [0]


async def test_only_who_has_a_notification_in_hand_is_done_with_it(teller: Teller) -> None:
    """What another process sends by now is marked by that one."""
    await teller.tell(1)
    slept = await teller.claim()
    teller.now += LEASE
    taken = await teller.claim()
    await teller.store.outbox.settle(slept, Done.GAVE_UP, now=teller.now)
    assert (await teller.store.outbox.undelivered())["pager"] == 1
    await teller.store.outbox.settle(taken, Done.DELIVERED, now=teller.now)
    assert await teller.store.outbox.sent_since("pager", teller.now) == 1


async def test_a_notice_is_done_with_once(teller: Teller) -> None:
    """The first word stands, and one that is not there any more is no error."""
    await teller.tell(1)
    notices = await teller.claim()
    await teller.store.outbox.settle(notices, Done.DELIVERED, now=teller.now)
    await teller.store.outbox.settle(notices, Done.GAVE_UP, now=teller.later(minutes=1))
    await teller.store.outbox.retry(notices, "late", at=teller.now)
    assert await teller.claim() == []
    assert await teller.store.outbox.sent_since("pager", teller.now - timedelta(minutes=2)) == 1


@pytest.mark.parametrize("count", [0, 1])
async def test_nothing_is_done_to_no_notices(teller: Teller, count: int) -> None:
    """An empty batch is no error."""
    for number in range(count):
        await teller.tell(number)
    await teller.store.outbox.settle([], Done.DELIVERED, now=teller.now)
    await teller.store.outbox.retry([], None, at=teller.now)
    await teller.store.outbox.release([])
    assert await teller.store.outbox.told("pager", [], AlertState.FIRING) == {}
    assert len(await teller.waiting()) == count


async def test_incidents_can_be_taken_ahead_of_everything_else(teller: Teller) -> None:
    """A storm of alerts does not stand before the one that explains it."""
    await teller.tell(1)
    await teller.tell_incident(2)
    (notice,) = await teller.claim(incidents_only=True)
    assert (notice.event, notice.alert_id) == (INCIDENT_ALERT, alert_id(2))
    assert await teller.claim(incidents_only=True) == []
    assert ids(await teller.claim()) == [alert_id(1)]


async def test_what_was_sent_lately_is_counted(teller: Teller) -> None:
    """What was rolled up or given up was not sent, and what another sink was told does not count."""
    since = teller.now
    for number, done in enumerate((Done.DELIVERED, Done.DELIVERED, Done.ROLLED_UP, Done.GAVE_UP)):
        await teller.tell(number, sinks=["log", "pager", "desk"])
        await teller.store.outbox.settle(await teller.claim(), done, now=teller.now)
        teller.later(seconds=1)
    assert await teller.store.outbox.sent_since("pager", since) == 2
    assert await teller.store.outbox.sent_since("pager", since + timedelta(seconds=1)) == 1
    assert await teller.store.outbox.sent_since("desk", since) == 0


async def told(teller: Teller, number: int, done: Done = Done.DELIVERED) -> None:
    """Let an alert fire, and the pager be done with being told."""
    await teller.fire(number)
    await teller.tell(number)
    await teller.store.outbox.settle(await teller.claim(), done, now=teller.now)


async def test_what_fires_is_found_page_by_page(teller: Teller) -> None:
    """Each once, in the words of its firing, also what the sink gave up to be told."""
    for number in range(1, 5):
        await told(teller, number, Done.GAVE_UP if number == 2 else Done.DELIVERED)
    pages = [await teller.store.outbox.firing("pager", limit=2)]
    while pages[-1].after is not None:
        pages.append(await teller.store.outbox.firing("pager", limit=2, after=pages[-1].after))
    found = [each for page in pages for each in page.alerts]
    assert len(pages) == 3
    assert sorted(each.alert_id for each in found) == [alert_id(number) for number in range(1, 5)]
    assert next(each.payload for each in found if each.alert_id == alert_id(2)) == payload(2)


async def test_what_is_over_does_not_fire(teller: Teller) -> None:
    """Whatever the sink was told of it; and neither does what the sink was not told yet."""
    await told(teller, 1)
    await told(teller, 2)
    await teller.resolve(1)
    await teller.fire(3)
    await teller.tell(3)
    page = await teller.store.outbox.firing("pager", limit=10)
    assert [each.alert_id for each in page.alerts] == [alert_id(2)]
    assert (await teller.store.outbox.firing("log", limit=10)).alerts == []


async def test_an_open_incident_fires_as_it_was_last_told(teller: Teller) -> None:
    """It grows, and the sink is to know how large it is now; it comes with the first page."""
    await told(teller, 1)
    await teller.open_incident(2)
    for updates, users in enumerate((12, 40)):
        await teller.tell_incident(2, updates=updates, users=users)
        await teller.store.outbox.settle(await teller.claim(), Done.DELIVERED, now=teller.now)
    page = await teller.store.outbox.firing("pager", limit=1)
    assert {each.alert_id: each.payload.get("users") for each in page.alerts} == {alert_id(1): None, alert_id(2): 40}
    rest = await teller.store.outbox.firing("pager", limit=1, after=page.after)
    assert rest.alerts == []


async def test_what_was_told_can_be_looked_up(teller: Teller) -> None:
    """By alert and state; what still waits was not told."""
    await told(teller, 1)
    await teller.tell(1, "resolved")
    await teller.tell(2)
    outbox, asked = teller.store.outbox, [alert_id(1), alert_id(2), alert_id(3)]
    assert await outbox.told("pager", asked, AlertState.FIRING) == {alert_id(1): payload(1)}
    assert await outbox.told("pager", asked, AlertState.RESOLVED) == {}
    assert await outbox.told("log", asked, AlertState.FIRING) == {}


async def test_the_firing_notices_of_what_still_fires_are_not_pruned(teller: Teller) -> None:
    """A sink that forgets is told in their words, however long ago that was."""
    for number in (1, 2):
        await told(teller, number)
    await teller.open_incident(3)
    await teller.tell_incident(3)
    await teller.store.outbox.settle(await teller.claim(), Done.DELIVERED, now=teller.now)
    await teller.resolve(2)
    teller.later(days=500)
    assert await teller.store.upkeep.prune_alerts(teller.now, limit=100) in {1, 2}  # SQL: the alert that is over, too
    told_of = await teller.store.outbox.told("pager", [alert_id(each) for each in (1, 2, 3)], AlertState.FIRING)
    assert sorted(told_of) == [alert_id(1), alert_id(3)]


async def test_two_replicas_never_take_the_same(teller: Teller) -> None:
    """What is in hand, of whichever claim, is nobody else's."""
    for number in range(20):
        await teller.tell(number)
    taken = [each.id for _ in range(5) for each in await teller.claim(limit=4)]
    assert len(set(taken)) == 20

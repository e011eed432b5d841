from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitor.ports import Receipt, Reception
from tests.delivery.desk import RULES, Scripted, once
from tests.delivery.receiver import receiving
from tests.store.telling import alert_id

if TYPE_CHECKING:
    from monitor.delivery import Courier
    from tests.delivery.desk import Desk

DELIVERED = Receipt(reception=Reception.DELIVERED)
REFUSED = Receipt(reception=Reception.REFUSED, reason="HTTP 400", status=400)
UNREACHABLE = Receipt(reception=Reception.UNREACHABLE, reason="refused")
LIMITED = replace(RULES, max_per_minute=10)


async def storm(desk: Desk, count: int, state: str = "firing") -> None:
    """Let many alerts wait for one sink."""
    for number in range(count):
        await desk.teller.tell(number, state, sinks=["pager"])


async def ticks(desk: Desk, courier: Courier, seconds: int) -> None:
    """Tick once a second."""
    for _ in range(seconds):
        desk.teller.later(seconds=1)
        await once(courier)


async def test_what_is_over_the_limit_is_told_in_one_summary_that_counts_all(desk: Desk) -> None:
    """Ten one by one, and at the next minute the other thirty in one; nothing is dropped."""
    await storm(desk, 40)
    async with receiving() as receiver:
        courier = desk.courier(desk.webhook(receiver.url), LIMITED)
        await once(courier)
        await ticks(desk, courier, 59)
        assert len(receiver.accepted) == 10
        assert await desk.undelivered() == 30
        await ticks(desk, courier, 1)
        *single, summary = (each.data for each in receiver.accepted)
        assert len(single) == 10
        assert (summary["type"], summary["data"]["count"]) == ("alerts.summary", 30)
        assert summary["data"]["by_severity"] == {"warning": 30}
        assert summary["data"]["by_state"] == {"firing": 30}
        assert summary["data"]["by_provider"] == {"fitbit": 30}
        assert summary["data"]["by_error_type"] == {"token_refresh_failed": 30}
        told = {each["data"]["alert_id"] for each in single} | {each["alert_id"] for each in summary["data"]["alerts"]}
        assert told == {str(alert_id(number)) for number in range(40)}
        assert set(summary["data"]["alerts"][0]) == {
            "alert_id", "state", "severity", "target", "provider", "error_type", "user_id",
        }  # fmt: skip
    assert await desk.undelivered() == 0
    assert (desk.count("delivered"), desk.count("rolled_up")) == (10, 30)
    assert [each["notices"] for each in desk.said("sink.rolled_up")] == [30]


async def test_more_than_a_thousand_are_told_in_two_summaries(desk: Desk) -> None:
    """A message has its bounds."""
    await storm(desk, 1510)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    desk.teller.later(minutes=1)
    await once(courier)
    assert ([len(each) for each in sink.summaries], await desk.undelivered()) == ([1000, 500], 0)


async def test_the_limit_is_of_all_replicas_together(desk: Desk) -> None:
    """What another one sent counts."""
    await storm(desk, 40)
    sink = Scripted([DELIVERED])
    for _ in range(3):
        await once(desk.courier(sink, LIMITED))
    assert len(sink.told) == 10


async def test_what_comes_in_the_new_minute_is_told_by_itself(desk: Desk) -> None:
    """Only what waited since before it is rolled up."""
    await storm(desk, 20)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    desk.teller.later(minutes=1)
    await desk.teller.tell(99)
    await once(courier)
    assert [len(each) for each in sink.summaries] == [10]
    assert sink.told[-1].alert_id == alert_id(99)


async def test_one_that_is_over_the_limit_is_told_by_itself(desk: Desk) -> None:
    """A summary of one says less than the one."""
    await storm(desk, 11)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    desk.teller.later(minutes=1)
    await once(courier)
    assert (len(sink.told), sink.summaries, await desk.undelivered()) == (11, [], 0)


async def test_an_incident_is_never_rolled_up_and_waits_for_nothing(desk: Desk) -> None:
    """It explains the storm."""
    await storm(desk, 40)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    await desk.teller.tell_incident(77)
    await once(courier)
    assert sink.told[-1].alert_id == alert_id(77)
    await desk.teller.tell_incident(78)
    desk.teller.later(minutes=1)
    await once(courier)
    assert all(each.event == "connection.alert" for some in sink.summaries for each in some)
    assert sink.told[-1].alert_id == alert_id(78)


async def test_a_quiet_minute_tells_everything_by_itself(desk: Desk) -> None:
    """Up to the limit there is no summary, however long it goes on."""
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    for number in range(50):
        await desk.teller.tell(number)
        desk.teller.later(seconds=7)
        await once(courier)
    assert (len(sink.told), sink.summaries) == (50, [])


@pytest.mark.parametrize("answer", [REFUSED, UNREACHABLE])
async def test_a_summary_that_is_not_taken_loses_nothing(desk: Desk, answer: Receipt) -> None:
    """What was in it is told one by one then, within the limit."""
    await storm(desk, 15)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    sink.receipts = [answer]
    desk.teller.later(minutes=1)
    await once(courier)
    assert await desk.undelivered() == 5
    sink.receipts = [DELIVERED]
    await ticks(desk, courier, 10)
    assert (await desk.undelivered(), len(sink.told)) == (0, 15)


async def test_firing_and_resolved_are_both_in_summaries_in_order(desk: Desk) -> None:
    """First that they began, then that they are over."""
    await storm(desk, 20)
    await storm(desk, 20, "resolved")
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink, LIMITED)
    await once(courier)
    desk.teller.later(minutes=1)
    await once(courier)
    states = [sorted({each.state for each in some}) for some in sink.summaries]
    assert sum(map(len, sink.summaries)) + len(sink.told) == 40
    assert states[-1] == ["resolved"]

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.delivery import backoff
from monitor.errors import StoreUnavailable
from monitor.notifier import Notifier
from monitor.ports import Receipt, Reception
from tests.delivery.desk import RULES, Lines, Scripted, once, until
from tests.delivery.receiver import hanging, receiving
from tests.store.telling import alert_id

if TYPE_CHECKING:
    from tests.delivery.desk import Desk

DELIVERED = Receipt(reception=Reception.DELIVERED)
REFUSED = Receipt(reception=Reception.REFUSED, reason="HTTP 400", detail="no such user", status=400)
FAILED = Receipt(reception=Reception.FAILED, reason="HTTP 503", status=503)
UNREACHABLE = Receipt(reception=Reception.UNREACHABLE, reason="refused")


def ids(sink: Scripted) -> list[int]:
    """Return what the sink was told, by number."""
    return [each.alert_id.int - alert_id(0).int for each in sink.told]


async def test_all_that_waits_is_told_in_order(desk: Desk) -> None:
    """More than one batch of it, and then nothing waits."""
    for number in range(30):
        await desk.teller.tell(number)
    sink = Scripted([DELIVERED])
    await once(desk.courier(sink))
    assert ids(sink) == list(range(30))
    assert (await desk.undelivered(), desk.count("delivered"), desk.count("failed")) == (0, 30, 0)
    assert not desk.logs.entries


async def test_a_refused_notice_waits_and_holds_up_no_other(desk: Desk) -> None:
    """It is tried again after 5 s, then twice as long each time, and told of once."""
    for number in range(3):
        await desk.teller.tell(number)
    sink = Scripted([REFUSED, DELIVERED, DELIVERED, REFUSED])
    courier = desk.courier(sink)
    await once(courier)
    assert ids(sink) == [0, 1, 2]
    for seconds in (5, 10, 20):
        desk.teller.later(seconds=seconds - 1)
        await once(courier)
        told = len(sink.told)
        desk.teller.later(seconds=1)
        await once(courier)
        assert len(sink.told) == told + 1
    (line,) = desk.said("sink.refused")
    assert (line["alert_id"], line["status"], line["reason"]) == (str(alert_id(0)), 400, "HTTP 400")
    assert "no such user" not in str(desk.logs.entries)
    assert desk.said("sink.failing") == []


async def test_a_sink_out_of_reach_is_left_alone_for_longer_and_longer(desk: Desk) -> None:
    """A second, two, four, up to a minute; one line says so, and one that it is over."""
    await desk.teller.tell(1)
    sink = Scripted([UNREACHABLE] * 8 + [DELIVERED])
    courier = desk.courier(sink)
    await once(courier)
    for seconds in (1, 2, 4, 8, 16, 32, 60):
        told = len(sink.told)
        desk.teller.later(seconds=seconds, milliseconds=-1)
        await once(courier)
        assert len(sink.told) == told
        desk.teller.later(milliseconds=1)
        await once(courier)
        assert len(sink.told) == told + 1
    assert desk.said("sink.recovered") == []
    desk.teller.later(minutes=1)
    await once(courier)
    assert (await desk.undelivered(), len(desk.said("sink.failing")), len(desk.said("sink.recovered"))) == (0, 1, 1)
    assert (desk.count("failed"), desk.count("delivered")) == (8, 1)


async def test_a_notice_that_breaks_its_receiver_spoils_no_other(desk: Desk) -> None:
    """Where all that was handed over failed, the next attempt has others beside it."""
    for number in range(12):
        await desk.teller.tell(number)
    sink = Scripted([FAILED] * 8 + [DELIVERED])
    courier = desk.courier(sink)
    await once(courier)
    assert await desk.undelivered() == 12
    desk.teller.later(seconds=1)
    await once(courier)
    assert set(ids(sink)[8:16]) & {8, 9, 10, 11}
    assert await desk.undelivered() == 0


async def test_a_clock_that_is_set_back_holds_nothing_up(desk: Desk) -> None:
    """The sink is not left alone until the old time comes again."""
    await desk.teller.tell(1)
    sink = Scripted([UNREACHABLE, DELIVERED])
    courier = desk.courier(sink)
    await once(courier)
    desk.teller.later(hours=-1)
    await once(courier)
    assert await desk.undelivered() == 0


async def test_a_refused_notice_is_given_up_in_the_end(desk: Desk) -> None:
    """With a line that says which and why, and a count."""
    await desk.teller.tell(1)
    courier = desk.courier(Scripted([REFUSED]))
    await once(courier)
    desk.teller.later(days=3)
    await once(courier)
    (line,) = desk.said("sink.gave_up")
    assert (line["alert_id"], line["state"], line["reason"], line["attempts"]) == (
        str(alert_id(1)), "firing", "HTTP 400", 2,
    )  # fmt: skip
    assert (await desk.undelivered(), desk.count("gave_up"), desk.count("failed")) == (0, 1, 2)


async def test_a_sink_that_is_dead_for_ever_gives_up_all_that_is_too_old(desk: Desk) -> None:
    """With one attempt and not one for each; what is younger still waits."""
    for number in range(50):
        await desk.teller.tell(number)
    desk.teller.later(days=3)
    await desk.teller.tell(99)
    sink = Scripted([UNREACHABLE])
    await once(desk.courier(sink))
    assert len(sink.told) == RULES.at_once
    assert (len(desk.said("sink.gave_up")), desk.count("gave_up")) == (50, 50)
    assert await desk.teller.waiting() == [(alert_id(99), "firing")]


async def test_what_is_old_is_tried_before_it_is_given_up(desk: Desk) -> None:
    """After a long time off, the sink may be fine."""
    await desk.teller.tell(1)
    desk.teller.later(days=30)
    await once(desk.courier(Scripted([DELIVERED])))
    assert (desk.count("delivered"), desk.count("gave_up")) == (1, 0)


async def test_the_log_never_gives_up(desk: Desk) -> None:
    """Every alert is written at least once, however long nobody could read it."""
    await desk.teller.tell(1)
    lines = Lines(good=0)
    courier = desk.log_courier(lines)
    await once(courier)
    desk.teller.later(days=400)
    await once(courier)
    assert await desk.undelivered("log") == 1
    lines.good = 1
    desk.teller.later(minutes=1)
    await once(courier)
    assert lines.written == [(str(alert_id(1)), "firing")]


async def test_a_line_that_could_not_be_written_stays_in_the_outbox(desk: Desk) -> None:
    """What was flushed is marked, what was not is told again."""
    for number in range(5):
        await desk.teller.tell(number)
    lines = Lines(good=3)
    courier = desk.log_courier(lines)
    await once(courier)
    assert await desk.teller.waiting("log") == [(alert_id(3), "firing"), (alert_id(4), "firing")]
    assert (desk.count("delivered", "log"), desk.count("failed", "log")) == (3, 2)
    lines.good = 99
    desk.teller.later(seconds=1)
    await once(courier)
    assert lines.written == [(str(alert_id(number)), "firing") for number in range(5)]


async def test_the_life_of_an_alert_is_told_in_order(desk: Desk) -> None:
    """That it is over waits for as long as that it began is refused, and is told right after it."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved")
    sink = Scripted([REFUSED, DELIVERED])
    courier = desk.courier(sink)
    await once(courier)
    assert [each.state for each in sink.told] == ["firing"]
    desk.teller.later(seconds=5)
    await once(courier)
    assert [each.state for each in sink.told] == ["firing", "firing", "resolved"]


async def test_a_crash_between_delivery_and_mark_repeats_and_loses_nothing(desk: Desk) -> None:
    """Whoever takes it over after the lease tells it again, under the same key."""
    await desk.teller.tell(1)
    async with receiving() as receiver:
        dying = desk.courier(desk.webhook(receiver.url))

        async def die(*_: object, **__: object) -> None:
            raise StoreUnavailable("gone")

        outbox, dying._outbox = desk.teller.store.outbox, type("Dying", (), {"claim": desk.teller.store.outbox.claim})()
        dying._outbox.settle = die  # type: ignore[method-assign]  # the process dies here
        await once(dying)
        assert await outbox.undelivered() == {"log": 1, "pager": 1}
        heir = desk.courier(desk.webhook(receiver.url))
        await once(heir)
        desk.teller.now += RULES.lease
        await once(heir)
        assert await desk.undelivered() == 0
        first, second = receiver.accepted
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body


async def test_a_database_that_is_gone_is_told_of_and_ends_nothing(desk: Desk) -> None:
    """The next tick tries again."""
    await desk.teller.tell(1)
    sink = Scripted([DELIVERED])
    courier = desk.courier(sink)
    whole = courier._outbox

    class Gone:
        async def claim(self, *_: object, **__: object) -> None:
            raise StoreUnavailable("gone")

    courier._outbox = Gone()  # type: ignore[assignment]  # it is out of reach
    await once(courier)
    assert [each["job"] for each in desk.said("database.lost")] == ["notify pager"]
    courier._outbox = whole
    await once(courier)
    assert (len(sink.told), len(desk.said("database.recovered"))) == (1, 1)


async def test_a_fault_of_ours_is_told_of_and_ends_nothing(desk: Desk) -> None:
    """The loop lives on."""
    await desk.teller.tell(1)

    class Broken(Scripted):
        async def tell(self, notices: object) -> list[Receipt]:
            raise ZeroDivisionError(notices)

    await once(desk.courier(Broken([DELIVERED])))
    assert [each["job"] for each in desk.said("job.crashed")] == ["notify pager"]
    assert await desk.undelivered() == 1


async def test_a_dead_sink_holds_up_no_other(desk: Desk) -> None:
    """While one hangs, the log is written and another webhook is told."""
    for number in range(3):
        await desk.teller.tell(number, sinks=["log", "pager", "desk"])
    lines = Lines()
    async with receiving(hanging) as dead, receiving() as alive:
        couriers = [
            desk.courier(desk.webhook(dead.url)),
            desk.courier(desk.webhook(alive.url), name="desk"),
            desk.log_courier(lines),
        ]
        notifier = Notifier(couriers, last_try=0.2)
        running = asyncio.create_task(notifier.run())
        notifier.tick()
        await until(lambda: len(lines.written) == 3 and len(alive.accepted) == 3, within=0.4)
        assert not dead.accepted
        notifier.stop()
        await running


async def test_a_sink_that_hangs_does_not_hold_up_the_end(desk: Desk) -> None:
    """The others are told a last time, and what the slow one has in hand is given back."""
    await desk.teller.tell(1)
    lines = Lines()
    async with receiving(hanging) as dead:
        slow = desk.courier(desk.webhook(dead.url), replace(RULES, lease=timedelta(days=1)))
        notifier = Notifier([slow, desk.log_courier(lines)], last_try=0.2)
        notifier.stop()
        async with asyncio.timeout(2):
            await notifier.run()
    assert len(lines.written) == 1
    assert await desk.teller.waiting() == [(alert_id(1), "firing")]


async def test_the_end_tries_once_more_what_was_left_alone(desk: Desk) -> None:
    """Nobody knows when the next process comes."""
    await desk.teller.tell(1)
    sink = Scripted([UNREACHABLE, DELIVERED])
    courier = desk.courier(sink)
    await once(courier)
    notifier = Notifier([courier])
    notifier.stop()
    await notifier.run()
    assert await desk.undelivered() == 0


async def test_a_loop_that_ends_before_its_time_is_not_hidden(desk: Desk) -> None:
    """The daemon ends with it."""

    class Fatal(Scripted):
        async def tell(self, notices: object) -> list[Receipt]:
            raise SystemError(notices)

    courier = desk.courier(Fatal([DELIVERED]))
    courier._round = courier._deliver  # type: ignore[method-assign]  # nothing catches it
    await desk.teller.tell(1)
    notifier = Notifier([courier], last_try=0.1)
    notifier.tick()
    with pytest.raises(SystemError):
        await notifier.run()


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (5000, 3600)])
def test_delays_double_up_to_an_hour(attempts: int, seconds: int) -> None:
    """However often it was tried."""
    assert backoff.delay(attempts, *backoff.OF_NOTICE) == timedelta(seconds=seconds)

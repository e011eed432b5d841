from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from monitor.core.wording import erased_payload
from monitor.delivery import Health, Resend
from monitor.ports import Done, Receipt, Reception
from tests.delivery.desk import once
from tests.delivery.receiver import always, receiving
from tests.store.telling import START, alert_id, payload

if TYPE_CHECKING:
    from tests.delivery.desk import Desk
    from tests.delivery.receiver import Receiver, Request


def sent(receiver: Receiver) -> list[dict[str, Any]]:
    """Return all alerts that were accepted."""
    return [alert for request in receiver.accepted for alert in request.data]


def end(alert: dict[str, Any]) -> datetime:
    """Return when an alert ends."""
    return datetime.fromisoformat(alert["endsAt"])


async def told(desk: Desk, number: int) -> None:
    """Let an alert fire, and the sink be told."""
    await desk.teller.fire(number)
    await desk.teller.tell(number)
    await desk.teller.store.outbox.settle(await desk.teller.claim(), Done.DELIVERED, now=desk.teller.now)


async def test_a_firing_alert_has_labels_annotations_and_an_end_ahead(desk: Desk) -> None:
    """What has nothing to say is left out."""
    await desk.teller.tell(1, error_message=None, incident_id="")
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert receiver.accepted[0].path == "/api/v2/alerts"
    (alert,) = sent(receiver)
    assert alert["labels"] == {
        "alertname": "JunctionConnectionAlert",
        "severity": "warning",
        "target": "acme_us",
        "provider": "fitbit",
        "error_type": "token_refresh_failed",
        "kind": "errored",
        "alert_id": str(alert_id(1)),
    }
    user = "00000000-0000-0000-0000-000000000001"
    assert alert["annotations"] == {"summary": "It is firing.", "remedy": "Link again.", "user_id": user}
    assert datetime.fromisoformat(alert["startsAt"]) == START
    assert end(alert) == START + timedelta(minutes=5)


async def test_an_incident_is_an_alert_of_its_own(desk: Desk) -> None:
    """It began when its wave did, and says how large it is."""
    await desk.teller.tell_incident(7, cause="provider")
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    (alert,) = sent(receiver)
    assert (alert["labels"]["alertname"], alert["labels"]["cause"]) == ("JunctionIncident", "provider")
    assert (alert["annotations"]["users"], alert["annotations"]["share"]) == ("12", "0.4")
    assert "user_id" not in alert["annotations"]
    assert alert["startsAt"] == "2025-03-01T11:55:00Z"


async def test_a_resolve_carries_the_labels_that_fired_and_ends_now(desk: Desk) -> None:
    """By them the Alertmanager knows which it is, whatever is said of it by now."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved", severity="info", kind="recovered", observed_at="2025-03-01T12:09:00Z")
    async with receiving() as receiver:
        courier = desk.courier(desk.alertmanager(receiver.url))
        desk.teller.later(minutes=10)
        await once(courier)
    firing, resolved = sent(receiver)
    assert firing["labels"] == resolved["labels"]
    assert firing["startsAt"] == resolved["startsAt"]
    assert resolved["annotations"]["summary"] == "It is resolved."
    assert end(resolved) == desk.teller.now


async def test_no_alert_ends_before_it_began(desk: Desk) -> None:
    """Which an Alertmanager refuses, and clocks of replicas differ."""
    await desk.teller.tell(1, "resolved")
    desk.teller.later(seconds=-3)
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    (alert,) = sent(receiver)
    assert alert["endsAt"] == alert["startsAt"]


async def test_all_that_waits_is_one_request(desk: Desk) -> None:
    """As many as go together."""
    for number in range(8):
        await desk.teller.tell(number)
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert [len(each.data) for each in receiver.accepted] == [8]
    assert desk.count("delivered") == 8


async def test_one_that_is_refused_spoils_no_other(desk: Desk) -> None:
    """Where all together are refused, each is sent in its own."""
    for number in range(5):
        await desk.teller.tell(number, summary="bad" if number == 3 else "good")

    async def no_bad_ones(request: Request) -> int:
        return 400 if "bad" in request.body else 200

    async with receiving(no_bad_ones) as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert (len(sent(receiver)), await desk.undelivered()) == (4, 1)
    assert [each["alert_id"] for each in desk.said("sink.refused")] == [str(alert_id(3))]


async def test_one_alertmanager_of_several_is_enough(desk: Desk) -> None:
    """Each is sent everything."""
    await desk.teller.tell(1)
    async with receiving() as first, receiving() as second:
        sink = desk.alertmanager(first.url, "http://127.0.0.1:9", f"{second.url}/")
        await once(desk.courier(sink))
    assert (len(sent(first)), len(sent(second)), await desk.undelivered()) == (1, 1, 0)


async def test_no_alertmanager_is_not_enough(desk: Desk) -> None:
    """Both are dead, in different ways."""
    await desk.teller.tell(1)
    async with receiving(always(503)) as first:
        await once(desk.courier(desk.alertmanager(first.url, "http://127.0.0.1:9")))
    assert await desk.undelivered() == 1
    assert [each["reason"] for each in desk.said("sink.failing")] == ["HTTP 503"]


async def test_a_token_is_shown_and_told_to_nobody_else(desk: Desk) -> None:
    """Not where the other side repeats it, and not by the sink."""
    await desk.teller.tell(1)
    async with receiving(always(400)) as receiver:
        receiver.body = b"bad token hunter2"
        sink = desk.alertmanager(receiver.url, token="hunter2")
        receipts = await sink.tell(await desk.teller.claim())
    assert receiver.requests[0].headers["authorization"] == "Bearer hunter2"
    assert "hunter2" not in f"{sink!r} {receipts!r}"


async def test_all_that_fires_is_sent_again(desk: Desk) -> None:
    """In pages, each end ahead of now; what is over or was never told is not."""
    for number in range(1, 504):
        await told(desk, number)
    await desk.teller.resolve(2)
    await desk.teller.fire(600)
    desk.teller.later(minutes=7)
    async with receiving() as receiver:
        assert await Resend(desk.alertmanager(receiver.url), Health("pager", desk.log)).run()
    assert [len(each.data) for each in receiver.accepted] == [500, 2]
    assert {end(each) for each in sent(receiver)} == {desk.teller.now + timedelta(minutes=5)}
    assert len({each["labels"]["alert_id"] for each in sent(receiver)}) == 502


async def test_nothing_is_sent_again_where_nothing_fires(desk: Desk) -> None:
    """Not even an empty list, and a sink that failed is not said to work by that."""
    await desk.teller.tell(1)
    async with receiving(always(503)) as receiver:
        health, sink = Health("pager", desk.log), desk.alertmanager(receiver.url)
        health.fails(Receipt(reception=Reception.FAILED))
        assert await Resend(sink, health).run()
    assert receiver.requests == []
    assert desk.said("sink.recovered") == []


async def test_what_ends_while_it_is_sent_again_is_ended_again(desk: Desk) -> None:
    """Or it would fire on for minutes after its end."""
    await told(desk, 1)

    async def resolve_meanwhile(_: Request) -> int:
        if await desk.undelivered() == 0 and len(receiver.requests) == 1:
            await desk.teller.tell(1, "resolved")
            await desk.teller.store.outbox.settle(await desk.teller.claim(), Done.DELIVERED, now=desk.teller.now)
        return 200

    async with receiving(resolve_meanwhile) as receiver:
        await desk.alertmanager(receiver.url).resend()
    again, over = sent(receiver)
    assert end(again) > desk.teller.now
    assert (end(over), over["labels"]) == (desk.teller.now, again["labels"])


@pytest.mark.parametrize(("status", "heard", "requests"), [(503, False, 1), (400, True, 2)])
async def test_sending_again_stops_where_nobody_hears(desk: Desk, status: int, heard: bool, requests: int) -> None:
    """Then it is done again soon, and a line says so once; one that is refused does not keep back the others."""
    for number in range(1, 502):
        await told(desk, number)
    health = Health("pager", desk.log)
    async with receiving(always(status)) as receiver:
        for _ in range(2):
            assert await Resend(desk.alertmanager(receiver.url), health).run() is heard
    assert len(receiver.requests) == 2 * requests
    assert len(desk.said("sink.failing")) == (not heard)


async def test_a_redirect_is_not_followed(desk: Desk) -> None:
    """The token would travel."""
    await desk.teller.tell(1)
    async with receiving(always(307)) as receiver:
        (receipt,) = await desk.alertmanager(receiver.url, token="t").tell(await desk.teller.claim())
    assert (receipt.reception, len(receiver.requests)) == (Reception.FAILED, 1)


def labelled(receiver: Receiver, now: datetime) -> list[tuple[str, bool]]:
    """Return under which severity alerts were sent, and whether they were over."""
    return [(each["labels"]["severity"], end(each) <= now) for each in sent(receiver)]


async def test_a_renewed_notification_ends_the_alert_under_its_old_labels_first(desk: Desk) -> None:
    """The severity is a label, and another label is another alert."""
    await told(desk, 1)
    await desk.teller.tell(1, updates=1, severity="critical", incident_id=None)
    await desk.teller.tell(1, "resolved", updates=1, severity="critical", incident_id=None)
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert labelled(receiver, desk.teller.now) == [("warning", True), ("critical", False), ("critical", True)]
    labels = [{**each["labels"], "severity": None} for each in sent(receiver)]
    assert labels[0] == labels[1] == labels[2]
    assert len({each["startsAt"] for each in sent(receiver)}) == 1


async def test_a_lower_severity_is_sent_with_what_still_fires(desk: Desk) -> None:
    """There is no notification of it; the alert under the old labels ends."""
    await told(desk, 1)
    await desk.teller.soften(1, "info")
    async with receiving() as receiver:
        await desk.alertmanager(receiver.url).resend()
    assert labelled(receiver, desk.teller.now) == [("warning", True), ("info", False)]


async def test_an_alert_with_a_lower_severity_ends_under_both(desk: Desk) -> None:
    """It is known by the one or the other."""
    await told(desk, 1)
    await desk.teller.tell(1, "resolved", severity="info", incident_id=None)
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert labelled(receiver, desk.teller.now) == [("warning", True), ("info", True)]


async def test_a_member_of_an_incident_keeps_its_labels(desk: Desk) -> None:
    """Although its severity is ``info`` by now."""
    await told(desk, 1)
    await desk.teller.tell(1, "resolved", severity="info", incident_id=str(alert_id(9)))
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    assert labelled(receiver, desk.teller.now) == [("warning", True)]


async def test_the_alert_of_an_erased_user_ends_under_its_labels(desk: Desk) -> None:
    """They name no user, and neither does anything else."""
    fired = payload(1)
    words = erased_payload(alert_id(1), fired["target"], desk.teller.now, fired)
    del words["state"]
    await desk.teller.tell(1, "resolved", **words)
    async with receiving() as receiver:
        await once(desk.courier(desk.alertmanager(receiver.url)))
    (alert,) = sent(receiver)
    assert alert["labels"] == {
        "alertname": "JunctionConnectionAlert",
        "severity": "warning",
        "target": "acme_us",
        "provider": "fitbit",
        "error_type": "token_refresh_failed",
        "kind": "errored",
        "alert_id": str(alert_id(1)),
    }
    assert alert["annotations"] == {}
    assert (alert["startsAt"], end(alert)) == (fired["observed_at"], desk.teller.now)

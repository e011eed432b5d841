from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from monitor.core.telling import Telling
from monitor.ports import Reception
from monitor.sinks.post import retry_after
from tests.delivery.desk import SECRET, once
from tests.delivery.receiver import always, failing_on, fine, hanging, receiving
from tests.store.telling import alert_id, incident_payload, payload

if TYPE_CHECKING:
    from monitor.delivery import Courier
    from tests.delivery.desk import Desk
    from tests.delivery.receiver import Request


async def minutes(desk: Desk, courier: Courier, count: int) -> None:
    """Tick every 5 s."""
    for _ in range(12 * count):
        desk.teller.later(seconds=5)
        await once(courier)


def verified(request: Request) -> Any:
    """Return what a receiver's own library makes of a request."""
    return Webhook(SECRET).verify(request.body, request.headers)


async def test_a_notice_is_a_signed_document(desk: Desk) -> None:
    """A receiver with the scheme's own library takes it; type, time and data are those of the notice."""
    desk.teller.now = datetime.now(UTC)
    await desk.teller.tell(1, error_message="naïve — \U0001f6b4")
    async with receiving() as receiver:
        await once(desk.courier(desk.webhook(f"{receiver.url}/junction")))
    (request,) = receiver.accepted
    assert verified(request) == {
        "type": "connection.alert",
        "timestamp": desk.teller.now.isoformat().replace("+00:00", "Z"),
        "data": payload(1, error_message="naïve — \U0001f6b4") | {"runbook_url": None},
    }
    assert (request.path, request.headers["content-type"]) == ("/junction", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.replace("firing", "resolved"), request.headers)


async def test_an_incident_is_told_by_its_own_type(desk: Desk) -> None:
    """With its size, and about no user."""
    await desk.teller.tell_incident(7, updates=2)
    async with receiving() as receiver:
        await once(desk.courier(desk.webhook(receiver.url)))
    (request,) = receiver.accepted
    assert request.data["type"] == "incident.alert"
    assert request.data["data"] == incident_payload(7) | {"runbook_url": None}
    assert request.headers["webhook-id"] == f"msg_{alert_id(7).hex}_firing_2"


async def test_what_stands_for_a_user_is_the_sinks_own(desk: Desk) -> None:
    """Hashed where it is told so, with the link to the runbook."""
    await desk.teller.tell(1)
    telling = Telling(user_id=lambda _: "hashed", runbook_base_url="https://r")
    async with receiving() as receiver:
        await once(desk.courier(desk.webhook(receiver.url, telling)))
    data = receiver.accepted[0].data["data"]
    assert (data["user_id"], data["runbook_url"]) == ("hashed", "https://r/token_refresh_failed.md")


async def test_the_key_is_the_same_over_retries_and_other_for_what_is_told_else(desk: Desk) -> None:
    """Each attempt is signed anew, with the time at which it is made."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved")
    async with receiving(always(503)) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        await minutes(desk, courier, 1)
        receiver.answer = fine
        await minutes(desk, courier, 1)
    keys = [each.headers["webhook-id"] for each in receiver.requests]
    assert len(keys) > 3
    assert set(keys[:-1]) == {f"msg_{alert_id(1).hex}_firing_0"}
    assert keys[-1] == f"msg_{alert_id(1).hex}_resolved_0"
    stamps = [each.headers["webhook-timestamp"] for each in receiver.requests[:-1]]
    assert len(set(stamps)) == len(stamps)


@pytest.mark.parametrize("status", [400, 503])
async def test_a_receiver_that_fails_on_firing_only_is_told_all_in_the_end(desk: Desk, status: int) -> None:
    """What is over waits for it, alert by alert, and other alerts do not."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved")
    await desk.teller.tell(2, "resolved")
    async with receiving(failing_on("firing", status)) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        await minutes(desk, courier, 2)
        assert receiver.told() == [(str(alert_id(2)), "resolved")]
        receiver.answer = fine
        await minutes(desk, courier, 5)
    assert receiver.told()[1:] == [(str(alert_id(1)), "firing"), (str(alert_id(1)), "resolved")]


@pytest.mark.parametrize("status", [400, 503])
async def test_a_receiver_that_fails_on_resolved_only_is_told_all_in_the_end(desk: Desk, status: int) -> None:
    """What fires is told meanwhile."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved")
    async with receiving(failing_on("resolved", status)) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        await minutes(desk, courier, 1)
        await desk.teller.tell(2)
        await minutes(desk, courier, 2)
        assert receiver.told() == [(str(alert_id(1)), "firing"), (str(alert_id(2)), "firing")]
        receiver.answer = fine
        await minutes(desk, courier, 5)
    assert receiver.told()[-1] == (str(alert_id(1)), "resolved")
    assert await desk.undelivered() == 0


async def test_a_receiver_that_is_too_slow_is_told_again(desk: Desk) -> None:
    """It may have heard; the key tells it that it did."""
    await desk.teller.tell(1)
    async with receiving(hanging) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        await once(courier)
        assert [each["reason"] for each in desk.said("sink.failing")] == ["no complete answer within 0.5 s"]
        receiver.answer = fine
        desk.teller.later(seconds=1)
        await once(courier)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert receiver.told() == [(str(alert_id(1)), "firing")]


@pytest.mark.parametrize("status", [400, 500])
async def test_a_receiver_that_fails_for_ever_is_given_up(desk: Desk, status: int) -> None:
    """After three days, firing and then resolved, a line each."""
    await desk.teller.tell(1)
    await desk.teller.tell(1, "resolved")
    async with receiving(always(status)) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        for _ in range(4 * 24):
            await once(courier)
            desk.teller.later(hours=1)
    assert [(each["state"], each["status"]) for each in desk.said("sink.gave_up")] == [
        ("firing", status), ("resolved", status),
    ]  # fmt: skip
    assert (await desk.undelivered(), receiver.accepted) == (0, [])


async def test_a_receiver_that_refuses_connections_comes_back(desk: Desk) -> None:
    """One line when it goes, one when it is there again, and all is told."""
    async with receiving() as receiver:
        port = receiver.port
    await desk.teller.tell(1)
    await desk.teller.tell(2)
    courier = desk.courier(desk.webhook(f"http://127.0.0.1:{port}"))
    await minutes(desk, courier, 1)
    (line,) = desk.said("sink.failing")
    assert (line["sink"], line["status"], bool(line["reason"])) == ("pager", None, True)
    async with receiving(port=port) as receiver:
        await minutes(desk, courier, 1)
    assert len(receiver.accepted) == 2
    assert len(desk.said("sink.recovered")) == 1


@pytest.mark.parametrize(
    ("status", "reception"),
    [
        (200, Reception.DELIVERED),
        (204, Reception.DELIVERED),
        (302, Reception.FAILED),
        (307, Reception.FAILED),
        (400, Reception.REFUSED),
        (404, Reception.REFUSED),
        (408, Reception.FAILED),
        (410, Reception.GONE),
        (425, Reception.FAILED),
        (429, Reception.FAILED),
        (500, Reception.FAILED),
        (503, Reception.FAILED),
    ],
)
async def test_what_an_answer_means(desk: Desk, status: int, reception: Reception) -> None:
    """Only a 4xx that does not pass is a verdict on the notice; a redirect is not followed."""
    await desk.teller.tell(1)
    async with receiving(always(status)) as receiver:
        (receipt,) = await desk.webhook(receiver.url).tell(await desk.teller.claim())
        assert (receipt.reception, receipt.status) == (reception, status)
        assert len(receiver.requests) == 1


async def test_an_answer_without_end_is_read_in_part(desk: Desk) -> None:
    """No receiver fills the memory, and its own words stay out of the log."""
    await desk.teller.tell(1)
    async with receiving(always(400)) as receiver:
        receiver.body = b"user 5 is unknown " * 100_000
        (receipt,) = await desk.webhook(receiver.url).tell(await desk.teller.claim())
    assert receipt.reason == "HTTP 400"
    assert receipt.detail is not None
    assert len(receipt.detail) <= 2048


@pytest.mark.parametrize(("scheme", "reason"), [("http", ""), ("https", "TLS: ")])
async def test_something_that_speaks_no_http_is_unreachable(desk: Desk, scheme: str, reason: str) -> None:
    """Whatever it says, nothing is raised; where TLS is at fault the line says so."""
    await desk.teller.tell(1)

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    sink = desk.webhook(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    (receipt,) = await sink.tell(await desk.teller.claim())
    server.close()
    await server.wait_closed()
    assert receipt.reception is Reception.UNREACHABLE
    assert receipt.reason is not None
    assert receipt.reason.startswith(reason)


async def test_the_secret_stays_out_of_every_text(desk: Desk) -> None:
    """Of the sink, of its receipts, and of the lines."""
    await desk.teller.tell(1)
    async with receiving(always(400)) as receiver:
        receiver.body = f"bad signature for {SECRET}".encode()
        sink = desk.webhook(receiver.url)
        receipts = await sink.tell(await desk.teller.claim())
    assert SECRET.removeprefix("whsec_") not in f"{sink!r} {receipts!r} {desk.logs.entries!r}"


async def test_the_secret_may_change_while_it_runs(desk: Desk) -> None:
    """Each request is signed with the one that holds then."""
    sink, now = desk.webhook(""), datetime.now(UTC)
    secrets = iter([SECRET, "whsec_" + "B" * 40])
    desk.teller.now = now
    sink._secrets = lambda: [next(secrets)]
    async with receiving() as receiver:
        sink._url = receiver.url
        for number in (1, 2):
            await desk.teller.tell(number)
            await sink.tell(await desk.teller.claim())
    first, second = receiver.accepted
    assert verified(first)
    Webhook("whsec_" + "B" * 40).verify(second.body, second.headers)


async def test_with_two_secrets_a_message_carries_a_signature_for_each(desk: Desk) -> None:
    """A receiver verifies it with either of them, so a rotation has no gap."""
    sink, old, new = desk.webhook(""), SECRET, "whsec_" + "B" * 40
    desk.teller.now = datetime.now(UTC)
    sink._secrets = lambda: [old, new]
    await desk.teller.tell(1)
    async with receiving() as receiver:
        sink._url = receiver.url
        await sink.tell(await desk.teller.claim())
    (request,) = receiver.accepted
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(desk: Desk, status: int) -> None:
    """Nothing is sent before the time that the receiver asked for, and everything after it."""
    for number in range(2):
        await desk.teller.tell(number)
    async with receiving(always(status)) as receiver:
        receiver.headers = "retry-after: 600\r\n"
        courier = desk.courier(desk.webhook(receiver.url))
        await minutes(desk, courier, 9)
        before = len(receiver.requests)
        receiver.answer = fine
        await minutes(desk, courier, 3)
    assert (before, len(receiver.accepted)) == (2, 2)


async def test_retry_after_is_honoured_at_shutdown(desk: Desk) -> None:
    """The last round of a daemon that stops sends nothing to a receiver that asked to wait."""
    await desk.teller.tell(1)
    async with receiving(always(429)) as receiver:
        receiver.headers = "retry-after: 600\r\n"
        courier = desk.courier(desk.webhook(receiver.url))
        await once(courier)
        courier.stop()
        await courier.run()
    assert len(receiver.requests) == 1
    assert await desk.undelivered() == 1


async def test_retry_after_of_one_answer_holds_for_the_sink(desk: Desk) -> None:
    """Also where other notifications of the same round were accepted."""
    for number in range(2):
        await desk.teller.tell(number, "firing" if number else "resolved")
    async with receiving(failing_on("firing", 429)) as receiver:
        receiver.headers = "retry-after: 600\r\n"
        courier = desk.courier(desk.webhook(receiver.url))
        await minutes(desk, courier, 9)
    assert (len(receiver.requests), len(receiver.accepted)) == (2, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30", 30), ("3600", 3600), ("3601", 3600), ("9" * 5000, 3600), ("", None), ("-1", None), ("x", None)],
)
def test_retry_after_in_seconds_is_an_hour_at_most(text: str, seconds: int | None) -> None:
    """Absurd values are cut, and what is no number is none."""
    wait = retry_after(text, datetime.now(UTC))
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(("ahead", "seconds"), [(-60, 0), (90, 90), (7200, 3600)])
def test_retry_after_as_a_date_is_an_hour_at_most(ahead: int, seconds: int) -> None:
    """The date is compared with the time of day; one that has passed asks for nothing."""
    now = datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert retry_after(format_datetime(now + timedelta(seconds=ahead), usegmt=True), now) == timedelta(seconds=seconds)


async def test_a_receiver_that_is_gone_gets_nothing_more_for_an_hour(desk: Desk) -> None:
    """All that waits is given up with one line; after the hour the next notification is tried."""
    for number in range(20):
        await desk.teller.tell(number)
    async with receiving(always(410)) as receiver:
        courier = desk.courier(desk.webhook(receiver.url))
        await once(courier)
        assert await desk.undelivered() == 0
        tried = len(receiver.requests)
        await desk.teller.tell(20)
        await minutes(desk, courier, 58)
        assert (len(receiver.requests), await desk.undelivered()) == (tried, 1)
        receiver.answer = fine
        await minutes(desk, courier, 3)
    assert receiver.told() == [(str(alert_id(20)), "firing")]
    (line,) = desk.said("sink.gone")
    assert (line["sink"], line["status"], line["notifications"], line["retry_seconds"]) == ("pager", 410, 20, 3600)
    assert (desk.said("sink.gave_up"), desk.said("sink.failing"), len(desk.said("sink.recovered"))) == ([], [], 1)
    assert (desk.count("gave_up"), desk.count("delivered")) == (20, 1)


async def test_a_summary_has_a_key_of_its_own(desk: Desk) -> None:
    """The same for the same notices, in whatever order they are in hand."""
    for number in range(3):
        await desk.teller.tell(number)
    notices = await desk.teller.claim()
    async with receiving() as receiver:
        sink = desk.webhook(receiver.url)
        await sink.summarise(notices)
        desk.teller.later(minutes=1)
        await sink.summarise(notices[::-1])
        await sink.summarise(notices[1:])
    first, second, other = (each.headers["webhook-id"] for each in receiver.accepted)
    assert first == second != other

"""What each answer means: contract, section 5, line by line."""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import __version__
from monitor.core.model import Outcome
from monitor.junction import meaning
from monitor.ports import Answer, ListedUser, UserPage
from tests.junction.answers import RESPONSE_EXAMPLE
from tests.junction.clients import KEY, LIMIT, USER, client, told

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def packed(body: bytes) -> bytes:
    """Return ``body`` compressed, the same bytes at any time."""
    return gzip.compress(body, mtime=0)


async def test_a_200_is_left_to_be_read() -> None:
    """The body comes back as it was sent."""
    assert await told(200, content=RESPONSE_EXAMPLE) == Answer(outcome=None, code="200", body=RESPONSE_EXAMPLE)


async def test_a_200_of_html_is_malformed_when_it_is_read() -> None:
    """A captive portal is no observation."""
    async with client() as junction:
        answer = await told(200, html="<h1>Welcome</h1>")
        assert answer.outcome is None
        assert junction.read(answer.body) is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (101, Outcome.MALFORMED),
        (201, Outcome.MALFORMED),
        (204, Outcome.MALFORMED),
        (206, Outcome.MALFORMED),
        (301, Outcome.UNAVAILABLE),
        (302, Outcome.UNAVAILABLE),
        (304, Outcome.UNAVAILABLE),
        (307, Outcome.UNAVAILABLE),
        (308, Outcome.UNAVAILABLE),
        (400, Outcome.UNAVAILABLE),
        (401, Outcome.REJECTED),
        (403, Outcome.REJECTED),
        (404, Outcome.GONE),
        (408, Outcome.UNAVAILABLE),
        (418, Outcome.UNAVAILABLE),
        (422, Outcome.INVALID),
        (429, Outcome.THROTTLED),
        (500, Outcome.UNAVAILABLE),
        (502, Outcome.UNAVAILABLE),
        (503, Outcome.THROTTLED),
        (504, Outcome.UNAVAILABLE),
        (599, Outcome.UNAVAILABLE),
        (999, Outcome.UNAVAILABLE),
    ],
)
async def test_a_status_means_what_the_contract_says(status: int, outcome: Outcome) -> None:
    """The code is the label of the metric, and some answer came."""
    answer = await told(status, text="oh")
    assert (answer.outcome, answer.code, answer.answered, answer.body) == (outcome, str(status), True, b"")


@pytest.mark.parametrize("status", [404, 422, 401, 429, 500])
async def test_the_head_alone_tells_what_an_error_means(status: int) -> None:
    """A body that is too large, or cannot be decompressed, takes nothing from the status."""
    plain = await told(status)
    assert (await told(status, content=b"x" * (LIMIT + 1))).outcome is plain.outcome
    assert (await told(status, headers={"content-encoding": "br"}, content=b"x")).outcome is plain.outcome


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            b'{"detail": "The user does not or no longer exists in this team"}',
            "The user does not or no longer exists in this team",
        ),
        (b'{"detail": [{"loc": ["path"], "msg": "bad id"}, {"msg": "too long"}]}', "bad id; too long"),
        (b'{"detail": {"msg": "bad id"}}', "bad id"),
        (b'{"detail": {"why": 1}}', '{"why":1}'),
        (b'{"detail": null}', None),
        (b'{"error": "x"}', '{"error":"x"}'),
        (b'"just text"', "just text"),
        (b"Internal\r\n\x1b[31mServer\x00 Error", "Internal [31mServer Error"),
        (b"<html><body>no</body></html>", None),
        (b"", None),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 9000, "x" * 150),
        (b"[" * 5000, "[" * 150),
        (b'{"detail": ' + b"[" * 500 + b"]" * 500 + b"}", "[" * 150),
        (b'{"detail": [1, "two", null]}', "1; two;"),
        (f"key {KEY} refused".encode(), "key *** refused"),
    ],
)
async def test_the_detail_of_an_invalid_user_is_one_clean_line(body: bytes, detail: str | None) -> None:
    """What the vendor says is told to a person: no controls, no markup, no key, not long."""
    assert (await told(422, content=body)).detail == detail


async def test_a_failure_names_the_trace_id_that_was_sent() -> None:
    """The vendor's support finds a request by it."""
    sent: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["traceparent"])
        return httpx.Response(500, text="Internal Server Error" * 50)

    async with client(transport=httpx.MockTransport(refuse)) as junction:
        answers = [await junction.connections(USER) for _ in range(2)]
    ids = [re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01", header) for header in sent]
    assert all(trace and trace[1] in (answer.detail or "") for trace, answer in zip(ids, answers, strict=True))
    assert all(len(answer.detail or "") <= 200 for answer in answers)
    assert sent[0] != sent[1]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [("7", 7), (None, None), ("soon", None)])
async def test_retry_after_is_passed_on(status: int, header: str | None, seconds: int | None) -> None:
    """Both ways of saying "not now" may say when."""
    answer = await told(status, headers={"retry-after": header} if header else {})
    assert answer.retry_after == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        (" 120 ", timedelta(minutes=2)),
        ("0000000000000090", timedelta(seconds=90)),
        ("99999999999999999999", timedelta(days=1)),
        ("9" * 8000, timedelta(days=1)),
        ("Tue, 24 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=1)),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        (None, None),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait: timedelta | None) -> None:
    """Bad values say nothing, absurd ones at most a day."""
    assert meaning.retry_after(value, NOW) == wait


@settings(deadline=None)
@given(st.text())
def test_no_retry_after_raises(value: str) -> None:
    """Whatever the header holds, it is a wait of 0 to 1 day or nothing."""
    wait = meaning.retry_after(value, NOW)
    assert wait is None or timedelta(0) <= wait <= timedelta(days=1)


@settings(deadline=None)
@given(st.binary())
def test_no_error_body_raises(body: bytes) -> None:
    """Whatever an error's body holds, the detail is one short printable line."""
    detail = meaning.detail(body, KEY)
    assert detail is None or (detail.isprintable() and len(detail) <= 150)


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", packed(RESPONSE_EXAMPLE)),
        ("X-GZip", packed(RESPONSE_EXAMPLE)),
        ("deflate", zlib.compress(RESPONSE_EXAMPLE)),
        ("identity", RESPONSE_EXAMPLE),
    ],
)
async def test_a_compressed_body_is_read(encoding: str, sent: bytes) -> None:
    """We ask for none, and read what comes anyway."""
    answer = await told(200, headers={"content-encoding": encoding}, stream=httpx.ByteStream(sent))
    assert answer.body == RESPONSE_EXAMPLE


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"content-encoding": "br"}, b"x"),
        ({"content-encoding": "gzip, gzip"}, packed(packed(b"x"))),
        ({"content-encoding": "gzip"}, b"plain text"),
        ({"content-encoding": "gzip"}, packed(RESPONSE_EXAMPLE)[:-9]),
        ({"content-encoding": "gzip"}, packed(RESPONSE_EXAMPLE) + b"more"),
        ({"content-encoding": "gzip"}, packed(b"0" * (LIMIT + 1))),
        ({}, b"0" * (LIMIT + 1)),
        ({"content-length": str(LIMIT + 1)}, b""),
        ({"content-length": "9" * 6000}, b""),
    ],
)
async def test_a_body_that_cannot_be_read_within_the_limit_is_malformed(headers: dict[str, str], sent: bytes) -> None:
    """Too large as sent, as declared or as decompressed, or not decompressible at all."""
    answer = await told(200, headers=headers, stream=httpx.ByteStream(sent))
    assert (answer.outcome, answer.code, answer.body) == (Outcome.MALFORMED, "200", b"")
    assert answer.detail


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    """The limit itself is allowed, compressed or not."""
    body = b"0" * LIMIT
    assert (await told(200, content=body)).body == body
    stream = httpx.ByteStream(packed(body))
    assert (await told(200, headers={"content-encoding": "gzip"}, stream=stream)).body == body


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (httpx.ConnectError("refused"), Outcome.UNAVAILABLE, "connect"),
        (httpx.ReadError(""), Outcome.UNAVAILABLE, "connect"),
        (httpx.RemoteProtocolError("no head"), Outcome.UNAVAILABLE, "connect"),
        (httpx.ConnectTimeout("slow"), Outcome.TIMEOUT, "timeout"),
        (httpx.PoolTimeout("full"), Outcome.TIMEOUT, "timeout"),
    ],
)
async def test_no_answer_is_a_value_too(fault: Exception, outcome: Outcome, code: str) -> None:
    """What a transport raises does not travel."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise fault

    async with client(transport=httpx.MockTransport(fail)) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.code, answer.answered) == (outcome, code, False)


async def test_what_is_asked() -> None:
    """One GET to one path with the headers that Junction documents, and no others that could tell on us."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, headers={"set-cookie": "a=b"})

    transport = httpx.MockTransport(answer)
    async with client("https://junction.test:8443/proxy/", transport=transport) as junction:
        await junction.connections(USER)
        await junction.connections(UUID(int=0))
    assert [str(each.url) for each in asked] == [
        f"https://junction.test:8443/proxy/v2/user/providers/{USER}",
        "https://junction.test:8443/proxy/v2/user/providers/00000000-0000-0000-0000-000000000000",
    ]
    headers = dict(asked[1].headers)
    assert headers.pop("traceparent")
    assert headers == {
        "x-vital-api-key": KEY,
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"junction-connection-monitor/{__version__}",
    }
    assert asked[0].method == "GET"


async def test_a_page_of_users() -> None:
    """The page is asked for by offset and limit."""

    def page(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/v2/user?offset=50&limit=500"
        return httpx.Response(200, json={"users": [{"user_id": str(USER), "client_user_id": "ann"}], "total": 51})

    async with client(transport=httpx.MockTransport(page)) as junction:
        assert await junction.users(offset=50, limit=500) == UserPage(
            users=(ListedUser(user_id=USER, client_user_id="ann"),), total=51
        )


@pytest.mark.parametrize(
    ("status", "content", "outcome"),
    [(200, b"{}", Outcome.MALFORMED), (401, b"", Outcome.REJECTED), (429, b"", Outcome.THROTTLED)],
)
async def test_what_is_no_page_of_users_is_the_answer_that_came(status: int, content: bytes, outcome: Outcome) -> None:
    """Discovery is told what went wrong in the words of a poll."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    async with client(transport=transport) as junction:
        answer = await junction.users(offset=0, limit=500)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.code) == (outcome, str(status))


@pytest.mark.parametrize(
    ("status", "json", "errored"),
    [(200, {"number_of_errored_connected_sources": 4}, 4), (200, {}, None), (500, {}, None)],
)
async def test_the_vendors_own_total(status: int, json: Any, errored: int | None) -> None:
    """A cross-check that may be missing."""

    def totals(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v2/user/metrics"
        return httpx.Response(status, json=json)

    async with client(transport=httpx.MockTransport(totals)) as junction:
        assert await junction.errored_connections() == errored


async def test_the_key_is_read_for_every_request() -> None:
    """A key file that is rotated counts from the next request on."""
    keys = iter(["sk_us_old", "sk_us_new"])
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["x-vital-api-key"])
        return httpx.Response(200)

    async with client(api_key=lambda: next(keys), transport=httpx.MockTransport(answer)) as junction:
        await junction.connections(USER)
        await junction.connections(USER)
    assert sent == ["sk_us_old", "sk_us_new"]


@pytest.mark.parametrize("key", ["", " ", "sk_us_a\r\nx-evil: 1", "sk_us_ü", "sk_us_a\n"])
async def test_a_key_that_no_header_holds_is_a_rejection(key: str) -> None:
    """Nothing is sent, and nothing of it is told."""
    transport = httpx.MockTransport(lambda _: pytest.fail("sent"))
    async with client(api_key=lambda: key, transport=transport) as junction:
        answer = await junction.connections(USER)
    assert (answer.outcome, answer.answered) == (Outcome.REJECTED, False)
    assert "sk_us" not in repr(answer)

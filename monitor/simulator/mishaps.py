"""What goes over the wire when a fault strikes."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Final

from monitor.simulator import answers
from monitor.simulator.spoiled_bodies import BODIES
from monitor.simulator.wire import JSON, Manner, Reply, body_of, chunk, encode, reason
from monitor.simulator.words import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.simulator.orders import FaultOrder
    from monitor.simulator.spoiled_bodies import Case

_PAGE: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head>"
    b"<body><h1>Error 502</h1><p>The web server reported a bad gateway error.</p></body></html>\n"
)
UNAUTHORIZED: Final = encode(401, json.dumps({"detail": "Invalid API key"}).encode())
_SECONDS_TO_WAIT: Final = 2
"""What a throttled answer says where the order says nothing."""


def detail(code: int, said: object, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Return an error answer as the vendor shapes most of them."""
    return encode(code, json.dumps({"detail": said}).encode(), headers=headers)


def spoil(good: Reply, case: Case) -> Reply:
    """Return what goes out instead of ``good``; the same reply where the fault has no hold on it."""
    fault = case.order.fault
    if fault in _MANNERS:
        return replace(good, code="aborted", manner=_MANNERS[fault])
    if fault is Fault.DRIP:
        return replace(good, manner=Manner.DRIP, gap=case.order.delay)
    if fault in _WRECKS:
        return replace(good, payload=_WRECKS[fault](good.payload), manner=Manner.CLOSE)
    if fault in BODIES:
        return _with_another_body(good, case)
    if fault is Fault.MISSING and good.user_id is None:
        return good
    code, payload = _REFUSALS[fault](case.order)
    return replace(good, code=str(code), payload=payload)


def _with_another_body(good: Reply, case: Case) -> Reply:
    endpoints, change = BODIES[case.order.fault]
    if good.code != "200" or case.endpoint not in endpoints:
        return good
    return replace(good, payload=encode(200, change(body_of(good.payload), case)))


_MANNERS: Final = {Fault.TIMEOUT: Manner.SILENCE, Fault.RESET: Manner.RESET}


def _truncate(payload: bytes) -> bytes:
    """Keep the declared length, lose the second half of the body."""
    return payload[: len(payload) - (len(body_of(payload)) + 1) // 2]


def _truncate_chunked(payload: bytes) -> bytes:
    """Send half of the body as one chunk, and no last chunk."""
    body = body_of(payload)
    return encode(int(payload[9:12]), chunk(body[: (len(body) + 1) // 2]), chunked=True)


_WRECKS: Final[dict[Fault, Callable[[bytes], bytes]]] = {
    Fault.TRUNCATE: _truncate,
    Fault.TRUNCATE_CHUNKED: _truncate_chunked,
}


def _wait(order: FaultOrder) -> int:
    return _SECONDS_TO_WAIT if order.retry_after is None else order.retry_after


def _throttle(order: FaultOrder) -> tuple[int, bytes]:
    return 429, detail(429, "Too many requests", (("retry-after", str(_wait(order))),))


def _throttle_date(order: FaultOrder) -> tuple[int, bytes]:
    # A date has whole seconds: rounding down would let the client come back too early.
    until = formatdate(int(time()) + 1 + _wait(order), usegmt=True)
    return 429, detail(429, "Too many requests", (("retry-after", until),))


def _status(order: FaultOrder) -> tuple[int, bytes]:
    code = order.status or 200
    headers = () if order.retry_after is None else (("retry-after", str(order.retry_after)),)
    return code, detail(code, reason(code), headers)


_REFUSALS: Final[dict[Fault, Callable[[FaultOrder], tuple[int, bytes]]]] = {
    Fault.THROTTLE: _throttle,
    Fault.THROTTLE_DATE: _throttle_date,
    Fault.THROTTLE_BARE: lambda _: (429, detail(429, "Too many requests")),
    Fault.UNAVAILABLE: lambda _: (503, detail(503, "Service unavailable")),
    Fault.SERVER_ERROR: lambda _: (500, encode(500, b"Internal Server Error", media="text/plain; charset=utf-8")),
    Fault.BAD_GATEWAY: lambda _: (502, encode(502, _PAGE, media="text/html")),
    Fault.HTML: lambda _: (200, encode(200, _PAGE, media="text/html; charset=utf-8")),
    Fault.REDIRECT: lambda order: (302, encode(302, b"", media=JSON, headers=(("location", order.location),))),
    Fault.REVOKED: lambda _: (401, UNAUTHORIZED),
    Fault.MISSING: lambda _: (404, detail(404, answers.UNKNOWN_USER)),
    Fault.STATUS: _status,
}

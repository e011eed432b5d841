"""What goes over the wire when a fault strikes."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Final

from monitor.simulator import answers
from monitor.simulator.wire import JSON, Manner, Reply, body_of, chunk, encode
from monitor.simulator.words import Fault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from monitor.simulator.orders import FaultOrder

_PAGE: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head>"
    b"<body><h1>Error 502</h1><p>The web server reported a bad gateway error.</p></body></html>\n"
)
_NOT_LISTS: Final = (b'{"providers":{}}', b'{"providers":null}', b'{"providers":"none"}')
_BAD_ROWS: Final = (
    b'{"name":"Nameless","logo":"https://logo_url.com","created_on":"2010-01-23T12:34:56+00:00","status":"connected"}',
    b'{"name":"Fitbit","slug":"fitbit","status":7,"created_on":"yesterday","resource_availability":[]}',
    b'"garmin"',
    b"null",
)
UNAUTHORIZED: Final = encode(401, json.dumps({"detail": "Invalid API key"}).encode())


def detail(code: int, said: object, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Return an error answer as the vendor shapes most of them."""
    return encode(code, json.dumps({"detail": said}).encode(), headers=headers)


def spoil(order: FaultOrder, good: Reply, chance: random.Random) -> Reply:
    """Return what goes out instead of ``good``; the same reply where the fault has no hold on it."""
    if order.fault in _MANNERS:
        return replace(good, code="aborted", manner=_MANNERS[order.fault])
    if order.fault is Fault.DRIP:
        return replace(good, manner=Manner.DRIP, gap=order.delay)
    if order.fault in _WRECKS:
        return replace(good, payload=_WRECKS[order.fault](good.payload), manner=Manner.CLOSE)
    if order.fault in _BODIES:
        is_snapshot = good.code == "200" and good.user_id is not None
        return (
            replace(good, payload=_BODIES[order.fault](body_of(good.payload), order, chance)) if is_snapshot else good
        )
    if order.fault is Fault.MISSING and good.user_id is None:
        return good
    code, payload = _REFUSALS[order.fault](order)
    return replace(good, code=str(code), payload=payload)


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


def _no_list(_: bytes, __: FaultOrder, chance: random.Random) -> bytes:
    return encode(200, chance.choice(_NOT_LISTS))


def _malformed_row(body: bytes, _: FaultOrder, chance: random.Random) -> bytes:
    rows = body.removeprefix(b'{"providers":[')
    comma = b"" if rows.startswith(b"]") else b","
    return encode(200, b'{"providers":[' + chance.choice(_BAD_ROWS) + comma + rows)


def _oversize(body: bytes, order: FaultOrder, _: random.Random) -> bytes:
    return encode(200, body[:-1] + b',"padding":"' + b"x" * order.size + b'"}')


def _empty_object(_: bytes, __: FaultOrder, ___: random.Random) -> bytes:
    return encode(200, b"{}")


_BODIES: Final[dict[Fault, Callable[[bytes, FaultOrder, random.Random], bytes]]] = {
    Fault.EMPTY_OBJECT: _empty_object,
    Fault.NO_LIST: _no_list,
    Fault.MALFORMED_ROW: _malformed_row,
    Fault.OVERSIZE: _oversize,
}


def _throttle(order: FaultOrder) -> tuple[int, bytes]:
    return 429, detail(429, "Too many requests", (("retry-after", str(order.retry_after)),))


def _throttle_date(order: FaultOrder) -> tuple[int, bytes]:
    # A date has whole seconds: rounding down would let the client come back too early.
    until = formatdate(int(time()) + 1 + order.retry_after, usegmt=True)
    return 429, detail(429, "Too many requests", (("retry-after", until),))


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
}

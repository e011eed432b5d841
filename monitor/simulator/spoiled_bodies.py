"""The bodies of good answers, changed by a fault: of snapshots, and of pages of the user list."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.simulator.words import Endpoint, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from monitor.simulator.orders import FaultOrder

ODD_DATES: Final = (
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-01-02T03:04:05",
    "0001-01-01T00:00:00+14:00",
)
"""The ends of what a date can be, one without an offset, and one that is before year 1 in UTC."""

ODD_TEXTS: Final = ("half \ud83d pair", "nul \x00 byte", "bell \x07, escape \x1b[2J, newline \r\n", "x" * 10_000)
_NOT_LISTS: Final = (b'{"providers":{}}', b'{"providers":null}', b'{"providers":"none"}')
_BAD_ROWS: Final = (
    b'{"name":"Nameless","logo":"https://logo_url.com","created_on":"2010-01-23T12:34:56+00:00","status":"connected"}',
    b'{"name":"Fitbit","slug":"fitbit","status":7,"created_on":"yesterday","resource_availability":[]}',
    b'"garmin"',
    b"null",
)
_TEXTS: Final = ("error_message", "external_user_id", "name", "client_user_id")
_DATES: Final = ("created_on", "errored_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault that strikes one request: what was ordered, where, and the chance and time of the answer."""

    order: FaultOrder
    endpoint: Endpoint | None
    chance: random.Random
    now: datetime


def _no_list(_: bytes, case: Case) -> bytes:
    return case.chance.choice(_NOT_LISTS)


def _malformed_row(body: bytes, case: Case) -> bytes:
    rows = body.removeprefix(b'{"providers":[')
    comma = b"" if rows.startswith(b"]") else b","
    return b'{"providers":[' + case.chance.choice(_BAD_ROWS) + comma + rows


def _oversize(body: bytes, case: Case) -> bytes:
    return body[:-1] + b',"padding":"' + b"x" * case.order.size + b'"}'


def _missing_provider(body: bytes, case: Case) -> bytes:
    rows = json.loads(body)["providers"]
    return _encode({"providers": [row for row in rows if row["slug"] != case.order.provider]})


def _restamp(body: bytes, case: Case) -> bytes:
    answer = json.loads(body)
    for row in answer["providers"]:
        if row["error_details"] is not None:
            row["error_details"]["errored_at"] = case.now.isoformat()
    return _encode(answer)


def _odd_dates(body: bytes, case: Case) -> bytes:
    return _odd(body, case, _DATES, ODD_DATES)


def _odd_texts(body: bytes, case: Case) -> bytes:
    return _odd(body, case, _TEXTS, ODD_TEXTS)


def _odd(body: bytes, case: Case, keys: tuple[str, ...], values: tuple[str, ...]) -> bytes:
    """Replace every value of ``keys``: by the order's ``text``, else the same one in each answer to the same body."""
    answer = json.loads(body)
    choice = random.Random(body)
    for part in _objects(answer):
        for key in keys:
            if isinstance(part.get(key), str):
                part[key] = choice.choice(values) if case.order.text is None else case.order.text
    return _encode(answer)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in ``value``, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _objects(member)


def _short_page(body: bytes, case: Case) -> bytes:
    page = json.loads(body)
    return _encode(page | {"users": page["users"][: case.order.limit]})


def _encode(answer: object) -> bytes:
    # ASCII only: half a surrogate pair has no bytes in UTF-8, but it can be escaped.
    return json.dumps(answer).encode()


_SNAPSHOT: Final = frozenset({Endpoint.POLL})
_LIST: Final = frozenset({Endpoint.LIST})

BODIES: Final[dict[Fault, tuple[frozenset[Endpoint], Callable[[bytes, Case], bytes]]]] = {
    Fault.EMPTY_OBJECT: (_SNAPSHOT, lambda _, __: b"{}"),
    Fault.EMPTY_LIST: (_SNAPSHOT, lambda _, __: b'{"providers":[]}'),
    Fault.NO_LIST: (_SNAPSHOT, _no_list),
    Fault.MALFORMED_ROW: (_SNAPSHOT, _malformed_row),
    Fault.MISSING_PROVIDER: (_SNAPSHOT, _missing_provider),
    Fault.OVERSIZE: (_SNAPSHOT, _oversize),
    Fault.RESTAMP: (_SNAPSHOT, _restamp),
    Fault.ODD_DATES: (_SNAPSHOT | _LIST, _odd_dates),
    Fault.ODD_TEXTS: (_SNAPSHOT | _LIST, _odd_texts),
    Fault.SHORT_PAGES: (_LIST, _short_page),
}
"""Which endpoints a fault has a hold on, and what it makes of the body."""

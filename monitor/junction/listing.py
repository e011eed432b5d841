"""The target's own list of users and its own totals, as they come on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from monitor.junction.wire import NOTHING, part, storable, usable_time
from monitor.ports import LONGEST_CLIENT_USER_ID, ListedUser, UserPage

Name = Annotated[str, msgspec.Meta(max_length=LONGEST_CLIENT_USER_ID)]
"""A customer's own id of a user; a longer one is left out."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class RawUser(msgspec.Struct):
    """One user of which any part may be bad."""

    user_id: msgspec.Raw = NOTHING
    client_user_id: msgspec.Raw = NOTHING
    created_on: msgspec.Raw = NOTHING


class RawPage(msgspec.Struct):
    """One page of which any row may be bad."""

    users: list[msgspec.Raw]
    total: Count


class Totals(msgspec.Struct):
    """What the vendor counts of a whole team."""

    number_of_errored_connected_sources: Count


_PAGE: Final = msgspec.json.Decoder(RawPage)
_USER: Final = msgspec.json.Decoder(RawUser | None)
_ID: Final = msgspec.json.Decoder(UUID | None)
_NAME: Final = msgspec.json.Decoder(Name | None)
_TIME: Final = msgspec.json.Decoder(datetime | None)
_TOTALS: Final = msgspec.json.Decoder(Totals)


def read_page(body: bytes) -> UserPage | None:
    """Return one page of the user list, each user once, or None where it is malformed as a whole.

    Bytes that are not UTF-8 are replaced: one user's name must not hide the other users of its page.
    """
    try:
        page = _PAGE.decode(storable(body.decode(errors="replace").encode()))
        rows = [_user(raw) for raw in page.users]
    except (msgspec.DecodeError, RecursionError):
        return None
    users = {user.user_id: user for user in rows if user is not None}
    return UserPage(users=tuple(users.values()), total=page.total, malformed_rows=rows.count(None))


def read_errored(body: bytes) -> int | None:
    """Return the vendor's total of errored connections, None where the answer does not hold it."""
    try:
        return _TOTALS.decode(storable(body)).number_of_errored_connected_sources
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _user(raw: msgspec.Raw) -> ListedUser | None:
    row = part(_USER, raw)
    user_id = part(_ID, row.user_id) if row else None
    if row is None or user_id is None:
        return None
    return ListedUser(
        user_id=user_id,
        client_user_id=part(_NAME, row.client_user_id),
        created_on=usable_time(part(_TIME, row.created_on)),
    )

"""What a poll without news writes, when its user was seen and is due: one statement for all, that checks the leases.

Nearly all polls are of this kind. A statement for each of them costs more than the poll, on SQLite also because the
driver gives the interpreter's lock away between rows.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.core.judge import Verdict

SET: Final = "failures = 0, missing_since = NULL, lease = NULL, leased_until = NULL"
UNNESTED: Final = text(
    f"""
    WITH locked AS (
        SELECT users.id, v.next_poll_at, v.observed_at
        FROM unnest(
            CAST(:id AS bigint[]), CAST(:lease AS bigint[]), CAST(:next_poll_at AS timestamptz[]),
            CAST(:observed_at AS timestamptz[])
        ) AS v (id, lease, next_poll_at, observed_at)
        JOIN users ON users.id = v.id
        WHERE users.lease = v.lease AND users.leased_until > :now
        ORDER BY users.id FOR NO KEY UPDATE OF users
    )
    UPDATE users SET next_poll_at = locked.next_poll_at, observed_at = locked.observed_at, {SET}
    FROM locked
    WHERE users.id = locked.id
    RETURNING users.id
    """  # noqa: S608 - our own words
)
"""Locks in the order of the ids, as every other statement that locks several users: an UPDATE alone has none."""
FROM_JSON: Final = text(
    f"""
    UPDATE users SET next_poll_at = json_extract(v.value, '$[2]'), observed_at = json_extract(v.value, '$[3]'), {SET}
    FROM json_each(:polls) AS v
    WHERE users.id = json_extract(v.value, '$[0]') AND users.lease = json_extract(v.value, '$[1]')
        AND users.leased_until > :now
    RETURNING users.id
    """  # noqa: S608 - our own words
)


async def write(connection: AsyncConnection, verdicts: Sequence[Verdict], now: datetime) -> frozenset[int]:
    """Write verdicts without news, and return the keys of those whose lease holds at ``now``."""
    if connection.dialect.name == "sqlite":
        polls = [
            (each.claim.key, each.claim.lease, _written(each.next_poll_at), _written(each.observed_at or now))
            for each in verdicts
        ]
        statement, given = FROM_JSON, {"polls": json.dumps(polls), "now": _written(now)}
    else:
        statement, given = UNNESTED, _columns(verdicts) | {"now": now}
    return frozenset((await connection.execute(statement, given)).scalars())


def _columns(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "id": [each.claim.key for each in verdicts],
        "lease": [each.claim.lease for each in verdicts],
        "next_poll_at": [each.next_poll_at for each in verdicts],
        "observed_at": [each.observed_at for each in verdicts],
    }


def _written(moment: datetime) -> str:
    """Return a time as SQLite keeps it, see :class:`monitor.store.tables.Moment`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

"""Taking users into the cohort, also while another process takes in the same ones.

1. Those that are not known are inserted in the order of their ids; what was really inserted is counted.
2. Of the known ones those that change are locked in the order of their keys, as every commit locks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, text, update

from monitor.core.membership import UserOrigin
from monitor.core.model import Intent, Presence
from monitor.store import rows
from monitor.store.counting import upsert
from monitor.store.tables import targets, users

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.ports import ListedUser
    from monitor.store.rows import Record

OWN: Final = (
    users.c.id,
    users.c.user_id,
    users.c.client_user_id,
    users.c.intent,
    users.c.presence,
    users.c.failures,
    users.c.outcome,
)

CURED: Final[dict[str, Any]] = {
    "presence": Presence.PRESENT.value,
    "reason": None,
    "outcome": None,
    "failed_at": None,
    "doubts": None,
}
"""What a user's row says whose registration is no longer known to be invalid."""


def named(listed: Sequence[ListedUser]) -> dict[UUID, str | None]:
    """Return each user's own name; a later line without one does not undo an earlier one with it."""
    return {each.user_id: None for each in listed} | {
        each.user_id: each.client_user_id for each in listed if each.client_user_id is not None
    }


async def known(connection: AsyncConnection, target_id: int, user_ids: Collection[UUID]) -> dict[UUID, Record]:
    """Return those of the users that have a row, removed ones included."""
    theirs = rows.among(users.c.user_id, user_ids, connection.dialect)
    found = await connection.execute(select(*OWN).where(users.c.target_id == target_id, theirs))
    return {row.user_id: row for row in found}


async def origins(connection: AsyncConnection, keys: Collection[int]) -> dict[int, UserOrigin]:
    """Return when and how users came into the cohort, by their keys."""
    asked = select(users.c.id, users.c.registered_at, users.c.created_on, targets.c.discovered_at).join(targets)
    found = await connection.execute(asked.where(rows.among(users.c.id, keys, connection.dialect)))
    return {
        row.id: UserOrigin(registered_at=row.registered_at, created_on=row.created_on, discovered_at=row.discovered_at)
        for row in found
    }


async def enrol(
    connection: AsyncConnection,
    target_id: int,
    names: Mapping[UUID, str | None],
    created: Mapping[UUID, datetime | None],
    now: datetime,
) -> int:
    """Insert users, due at once, and return how many were not there yet; ``created`` is when Junction made them."""
    if not names:
        return 0
    given = sorted(names.items(), key=_id)
    fixed = {"target_id": target_id, "intent": Intent.ACTIVE.value, "presence": Presence.PRESENT.value}
    if connection.dialect.name == "sqlite":
        fixed |= {"registered_at": now, "next_poll_at": now, "failures": 0}
        insert = upsert(users, connection.dialect).on_conflict_do_nothing().returning(users.c.id)
        new = [
            fixed | {"user_id": each, "client_user_id": name, "created_on": created.get(each)} for each, name in given
        ]
        return len((await connection.execute(insert, new)).all())
    columns: dict[str, Any] = {"user_ids": [each for each, _ in given], "names": [name for _, name in given]}
    columns["created"] = [created.get(each) for each, _ in given]
    return (await connection.execute(_ENROL, fixed | columns | {"now": now})).rowcount


async def renew(
    connection: AsyncConnection,
    found: Collection[Record],
    names: Mapping[UUID, str | None],
    now: datetime,
    *,
    revive: bool,
) -> Sequence[Record]:
    """Give known users the names that are new, with ``revive`` bring back the removed ones, and return these."""
    stale = [each.id for each in found if _renamed(each, names) or (revive and each.intent == Intent.REMOVED)]
    if not stale:
        return []
    theirs = rows.among(users.c.id, stale, connection.dialect)
    locked = (await connection.execute(select(*OWN).where(theirs).order_by(users.c.id).with_for_update())).all()
    if renamed := [{"key": each.id, "name": names[each.user_id]} for each in locked if _renamed(each, names)]:
        await connection.execute(_RENAME, renamed)
    back = [each for each in locked if revive and each.intent == Intent.REMOVED]
    if back:
        awake: dict[str, Any] = {"intent": Intent.ACTIVE.value, "next_poll_at": now}
        ours = rows.among(users.c.id, [each.id for each in back], connection.dialect)
        await connection.execute(update(users).where(ours).values(awake))
        # A person asks for the user again, so what the vendor said about its id is asked again too.
        cured = update(users).where(ours, users.c.presence == Presence.INVALID.value)
        await connection.execute(cured.values(CURED))
        return (await connection.execute(select(*OWN).where(ours).order_by(users.c.id))).all()
    return []


_ENROL: Final = text(
    """
    INSERT INTO users
        (target_id, user_id, client_user_id, created_on, intent, presence, registered_at, next_poll_at, failures)
    SELECT :target_id, v.user_id, v.name, v.created_on, :intent, :presence, :now, :now, 0
    FROM unnest(CAST(:user_ids AS uuid[]), CAST(:names AS text[]), CAST(:created AS timestamptz[]))
        AS v (user_id, name, created_on)
    ON CONFLICT DO NOTHING
    """
)
_RENAME: Final = update(users).where(users.c.id == bindparam("key")).values(client_user_id=bindparam("name"))


def _renamed(row: Record, names: Mapping[UUID, str | None]) -> bool:
    return names[row.user_id] not in {None, row.client_user_id}


def _id(item: tuple[UUID, str | None]) -> UUID:
    return item[0]

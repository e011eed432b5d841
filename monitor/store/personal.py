"""Personal data in SQL, some users at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, update

from monitor.ports import Hidden, StoredForm, Subject
from monitor.store import rows
from monitor.store.counting import upsert
from monitor.store.tables import connections, privacy, snapshots, users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.ports import Hide
    from monitor.store.engine import Database
    from monitor.store.rows import Record


class SqlPersonalData:
    """The personal data of one database. Users are locked as a commit locks them, so that neither undoes the other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forms(self) -> Mapping[Subject, StoredForm]:
        """Return what is known of the form of each subject."""
        async with self._database.reading() as connection:
            found = (await connection.execute(select(privacy))).all()
        return {
            Subject(row.subject): StoredForm(mode=row.mode, rewritten_at=row.rewritten_at, settled=row.settled)
            for row in found
        }

    async def note_form(self, subject: Subject, form: StoredForm) -> None:
        """Keep the form that a subject is in now."""
        row = {"mode": form.mode, "rewritten_at": form.rewritten_at, "settled": form.settled}
        noted = upsert(privacy, self._database.dialect).values(subject=subject.value, **row)
        async with self._database.writing() as connection:
            await connection.execute(noted.on_conflict_do_update(index_elements=[privacy.c.subject], set_=row))

    async def hide(self, subject: Subject, hide: Hide, *, after: int, limit: int) -> Hidden:
        """Change the values of the next ``limit`` users by ``hide``, in one transaction."""
        page = select(users.c.id, users.c.client_user_id).where(users.c.id > after).order_by(users.c.id).limit(limit)
        async with self._database.writing() as connection:
            found = (await connection.execute(page.with_for_update())).all()
            keys = [row.id for row in found]
            if subject is Subject.CLIENT_USER_ID:
                changed = await _rename(connection, found, hide)
            else:
                changed = await _hide_current(connection, keys, hide) + await _hide_past(connection, keys, hide)
        return Hidden(changed=changed, after=keys[-1] if len(keys) == limit else None)


async def _rename(connection: AsyncConnection, found: Sequence[Record], hide: Hide) -> int:
    named = [row for row in found if row.client_user_id is not None]
    changed = [{"key": row.id, "new": new} for row in named if (new := hide(row.client_user_id)) != row.client_user_id]
    return await _write(connection, _RENAME, changed)


async def _hide_current(connection: AsyncConnection, keys: Sequence[int], hide: Hide) -> int:
    theirs = rows.among(connections.c.member, keys, connection.dialect)
    asked = select(connections.c.member, connections.c.provider, connections.c.external_user_id)
    found = await connection.execute(asked.where(theirs, connections.c.external_user_id.is_not(None)))
    changed = [
        {"key": row.member, "of_provider": row.provider, "new": new}
        for row in found
        if (new := hide(row.external_user_id)) != row.external_user_id
    ]
    return await _write(connection, _HIDE_CURRENT, changed)


async def _hide_past(connection: AsyncConnection, keys: Sequence[int], hide: Hide) -> int:
    theirs = rows.among(snapshots.c.member, keys, connection.dialect)
    found = await connection.execute(select(snapshots.c.id, snapshots.c.connections).where(theirs))
    changed = [
        {"key": row.id, "new": new} for row in found if (new := _hidden(row.connections, hide)) != row.connections
    ]
    return await _write(connection, _HIDE_PAST, changed)


def _hidden(stored: Sequence[Mapping[str, Any]], hide: Hide) -> list[dict[str, Any]]:
    """Return a snapshot's connections with each ``external_user_id`` changed."""
    values = [each.get("external_user_id") for each in stored]
    new = [None if value is None else hide(value) for value in values]
    return [{**each, "external_user_id": value} for each, value in zip(stored, new, strict=True)]


async def _write(connection: AsyncConnection, statement: Any, changed: Sequence[dict[str, Any]]) -> int:
    if changed:
        await connection.execute(statement, changed)
    return len(changed)


_RENAME: Final = update(users).where(users.c.id == bindparam("key")).values(client_user_id=bindparam("new"))
_HIDE_CURRENT: Final = (
    update(connections)
    .where(connections.c.member == bindparam("key"), connections.c.provider == bindparam("of_provider"))
    .values(external_user_id=bindparam("new"))
)
_HIDE_PAST: Final = update(snapshots).where(snapshots.c.id == bindparam("key")).values(connections=bindparam("new"))

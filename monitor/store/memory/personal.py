"""Personal data of the twin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.ports import Hidden, StoredForm, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.model import Connection
    from monitor.ports import Hide
    from monitor.store.memory.tables import Row, Tables


class MemoryPersonalData:
    """The personal data of one store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._forms: dict[Subject, StoredForm] = {}

    async def forms(self) -> Mapping[Subject, StoredForm]:
        """Return what is known of the form of each subject."""
        return dict(self._forms)

    async def note_form(self, subject: Subject, form: StoredForm) -> None:
        """Keep the form that a subject is in now."""
        self._forms[subject] = form

    async def hide(self, subject: Subject, hide: Hide, *, after: int, limit: int) -> Hidden:
        """Change the values of the next ``limit`` users by ``hide``."""
        change = _renamed if subject is Subject.CLIENT_USER_ID else _hidden
        keys = sorted(key for key in self._tables.rows if key > after)[:limit]
        changed = 0
        for key in keys:
            row, values = change(self._tables.rows[key], hide)
            self._tables.put([row])
            changed += values
        return Hidden(changed=changed, after=keys[-1] if len(keys) == limit else None)


def _renamed(row: Row, hide: Hide) -> tuple[Row, int]:
    named = replace(row, client_user_id=row.client_user_id and hide(row.client_user_id))
    return named, int(named != row)


def _hidden(row: Row, hide: Hide) -> tuple[Row, int]:
    held = {name: replace(each, connection=_of(each.connection, hide)) for name, each in row.connections.items()}
    past = [
        replace(each, connections=tuple(_of(connection, hide) for connection in each.connections))
        for each in row.snapshots
    ]
    changed = sum(held[name] != each for name, each in row.connections.items())
    changed += sum(new != each for new, each in zip(past, row.snapshots, strict=True))
    return replace(row, connections=held, snapshots=tuple(past)), changed


def _of(connection: Connection, hide: Hide) -> Connection:
    value = connection.external_user_id
    return connection if value is None else replace(connection, external_user_id=hide(value))

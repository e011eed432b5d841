"""Erased users as salted hashes: enough to keep discovery from registering them again, and not to name them."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select, update

from monitor.store.counting import upsert
from monitor.store.tables import erased, targets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

SALT_BYTES: Final = 32
AT_ONCE: Final = 500
"""Digests in one statement: each is a parameter, and databases bound their number."""


def digest(salt: bytes, user_id: UUID) -> bytes:
    """Return what is kept of an erased user; without the target's salt nobody can try ids against it."""
    return hmac.digest(salt, user_id.bytes, "sha256")


async def remember(connection: AsyncConnection, target_id: int, user_id: UUID) -> None:
    """Keep the hash of a user that is erased in this transaction."""
    salt = func.coalesce(targets.c.erasure_salt, secrets.token_bytes(SALT_BYTES))
    salted = update(targets).where(targets.c.id == target_id).values(erasure_salt=salt)
    found = (await connection.execute(salted.returning(targets.c.erasure_salt))).scalar_one()
    row = {"target_id": target_id, "digest": digest(found, user_id), "erased_at": func.current_timestamp()}
    await connection.execute(upsert(erased, connection.dialect).values(row).on_conflict_do_nothing())


async def erased_among(connection: AsyncConnection, target_id: int, user_ids: Collection[UUID]) -> frozenset[UUID]:
    """Return which of these users were erased, and not added again since."""
    found: set[UUID] = set()
    async for by_digest in _digests(connection, target_id, user_ids):
        asked = select(erased.c.digest).where(erased.c.target_id == target_id, erased.c.digest.in_(by_digest))
        found.update(by_digest[each] for each in (await connection.execute(asked)).scalars())
    return frozenset(found)


async def forget(connection: AsyncConnection, target_id: int, user_ids: Collection[UUID]) -> None:
    """Drop the hashes of users that a person adds again."""
    async for by_digest in _digests(connection, target_id, user_ids):
        await connection.execute(delete(erased).where(erased.c.target_id == target_id, erased.c.digest.in_(by_digest)))


async def _digests(
    connection: AsyncConnection, target_id: int, user_ids: Collection[UUID]
) -> AsyncIterator[Mapping[bytes, UUID]]:
    """Yield the users by digest, some at a time; nothing where no user of the target was ever erased."""
    asked = select(targets.c.erasure_salt).where(targets.c.id == target_id)
    salt = (await connection.execute(asked)).scalar()
    if salt is None:
        return
    ordered = list(user_ids)
    for start in range(0, len(ordered), AT_ONCE):
        yield {digest(salt, each): each for each in ordered[start : start + AT_ONCE]}

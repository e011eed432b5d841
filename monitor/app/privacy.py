"""How personal data may stand in the database and in the log (``privacy`` in the configuration)."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from monitor.config import Privacy

_HASH: Final = re.compile("[0-9a-f]{64}")
"""What SHA-256 gives: a stored value of this form is taken for a hash, and never hashed again."""


def external_user_id(privacy: Privacy) -> Callable[[str], str | None]:
    """Return what becomes of a vendor's account name: dropped, hashed, or kept as it is."""
    match privacy.external_user_id:
        case "drop":
            return _drop
        case "hash":
            return _hasher(privacy)
        case _:
            return str


def client_user_id(privacy: Privacy) -> Callable[[str], str | None]:
    """Return what is stored of a user's own name at the customer: nothing, a hash, or the name; a hash stays as it is.

    Lists that were exported from a database of hashes can so be imported again.
    """
    return stored(privacy, privacy.client_user_id)


def stored(privacy: Privacy, mode: str) -> Callable[[str], str | None]:
    """Return what becomes of a value that is stored already, where it must be in this mode; a hash stays as it is."""
    if mode == "plain":
        return str
    if mode == "drop":
        return _drop
    hashed = _hasher(privacy)
    return lambda text: text if _HASH.fullmatch(text) else hashed(text)


def log_user_id(privacy: Privacy) -> Callable[[UUID | str], str]:
    """Return how a user id stands in a log line: plain or hashed."""
    return _user_id(privacy, privacy.log_user_id)


def sink_user_id(privacy: Privacy, said: str | None) -> Callable[[UUID | str], str]:
    """Return how a user id stands in what a sink is told: as the sink says, else as in a log line."""
    return _user_id(privacy, said or privacy.log_user_id)


def _user_id(privacy: Privacy, said: str) -> Callable[[UUID | str], str]:
    if said == "plain":
        return str
    hashed = _hasher(privacy)
    return lambda user_id: hashed(str(user_id))


def _drop(_: str) -> None:
    return None


def _hasher(privacy: Privacy) -> Callable[[str], str]:
    def hashed(text: str) -> str:
        return hmac.digest(privacy.key().encode(), text.encode("utf-8", "replace"), "sha256").hex()

    return hashed

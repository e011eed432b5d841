"""The ids that providers give their users: opaque words, user names and e-mail addresses of nobody."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from uuid import UUID

from monitor.simulator.catalogue import Identity

if TYPE_CHECKING:
    from monitor.simulator.catalogue import Provider

_GIVEN: Final = ("ada", "ben", "chloe", "dario", "eve", "femi", "greta", "hana", "ivo", "june", "kofi", "lena", "mia")
_FAMILY: Final = ("abel", "brandt", "costa", "dubois", "eriksen", "fischer", "garcia", "haas", "ito", "jansen", "khan")
_DOMAINS: Final = ("example.com", "example.org", "example.net")
_LETTERS: Final = "23456789BCDFGHJKLMNPQRSTVWXYZ"


def external_user_id(provider: Provider, seed: bytes) -> str | None:
    """Return the id at ``provider`` of the user that ``seed`` stands for; None where the vendor has none."""
    if provider.identity is Identity.NONE:
        return None
    digest = blake2b(seed + provider.slug.encode(), digest_size=16).digest()
    return _spell(provider.identity, digest)


def _spell(identity: Identity, digest: bytes) -> str:
    match identity:
        case Identity.HEX:
            return digest.hex()
        case Identity.UUID:
            return str(UUID(bytes=digest, version=4))
        case Identity.SHORT:
            return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:6])
        case Identity.USERNAME:
            return f"{_GIVEN[digest[0] % 13]}_{_FAMILY[digest[1] % 11]}{digest[2]}"
        case Identity.EMAIL:
            name = f"{_GIVEN[digest[0] % 13]}.{_FAMILY[digest[1] % 11]}{int.from_bytes(digest[2:4], 'big')}"
            return f"{name}@{_DOMAINS[digest[4] % 3]}"
        case _:
            return str(10_000_000 + int.from_bytes(digest[:4], "big") % 80_000_000)

"""Where a team lives, and what its key's prefix says about that."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Region = Literal["us", "eu"]
Environment = Literal["production", "sandbox"]


class Place(NamedTuple):
    """An environment in a region."""

    environment: Environment
    region: Region


PREFIXES: Final[dict[str, Place]] = {
    "pk_us_": Place("production", "us"),
    "pk_eu_": Place("production", "eu"),
    "sk_us_": Place("sandbox", "us"),
    "sk_eu_": Place("sandbox", "eu"),
}
URLS: Final[dict[Place, str]] = {
    Place("production", "us"): "https://api.us.junction.com",
    Place("production", "eu"): "https://api.eu.junction.com",
    Place("sandbox", "us"): "https://api.sandbox.us.junction.com",
    Place("sandbox", "eu"): "https://api.sandbox.eu.junction.com",
}
TRAP: Final = "pk_ is production, sk_ is sandbox"


def prefix_of(key: str) -> str | None:
    """Return the prefix that names a key's place; None where the key has another."""
    return next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)

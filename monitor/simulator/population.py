"""Every user as it is in the beginning, worked out from seed and index alone.

Nothing is stored: a million users cost nothing until somebody asks for one. An id holds its own index, scrambled,
so that finding a user needs no table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Final
from uuid import UUID

from monitor.simulator import ailments, identities
from monitor.simulator.catalogue import PROVIDERS
from monitor.simulator.people import Connection, Failure, User
from monitor.simulator.words import CONNECTED, ERROR, PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.simulator.catalogue import Provider

_LINKED_FROM: Final = datetime(2023, 1, 1, tzinfo=UTC)
_LINKED_FOR: Final = 3 * 365 * 86_400
_ERRORED_FROM: Final = datetime(2026, 1, 2, tzinfo=UTC)
_ERRORED_FOR: Final = 28 * 86_400
_SIZES: Final = (1,) * 115 + (2,) * 77 + (3,) * 44 + (4,) * 20
"""How many connections a user has, by one random byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What part of the connections starts in which state."""

    error: float = 0.04
    paused: float = 0.02
    null_details: float = 0.02
    unavailable: float = 0.05


def _wheel(weights: Mapping[str, int]) -> tuple[str, ...]:
    """Return 256 words, each as often as its weight asks, at least once."""
    total = sum(weights.values())
    ends = [max(number, round(end * 256 / total)) for number, end in enumerate(accumulate(weights.values()), 1)]
    starts = [0, *ends[:-1]]
    return tuple(word for word, start, end in zip(weights, starts, ends, strict=True) for _ in range(end - start))


_SLUG_NUMBERS: Final = {provider.slug: number for number, provider in enumerate(PROVIDERS)}
_LINKED: Final = tuple(_SLUG_NUMBERS[slug] for slug in _wheel({each.slug: each.weight for each in PROVIDERS}))
_AILMENTS: Final = {auth: _wheel(shares) for auth, shares in ailments.SHARES.items()}


class Population:
    """All users that there ever are, new ones included: their indexes just go on."""

    def __init__(self, seed: int, shares: Shares | None = None) -> None:
        self._seed = b"%d:" % seed
        shares = shares or Shares()
        self._error = round(shares.error * 65_536)
        self._paused = self._error + round(shares.paused * 65_536)
        self._null_details = round(shares.null_details * 256)
        self._unavailable = round(shares.unavailable * 256)

    def user_id(self, index: int) -> str:
        """Return the id of the user number ``index``."""
        head = bytearray(blake2b(b"id%d" % index, digest_size=12, key=self._seed[:64]).digest())
        head[6] = 0x40 | head[6] & 0x0F
        head[8] = 0x80 | head[8] & 0x3F
        return str(UUID(bytes=bytes(head) + (index ^ self._mask(bytes(head))).to_bytes(4, "big")))

    def index(self, user_id: UUID) -> int:
        """Return the number of the user with this id, -1 of an id that never was given."""
        raw = user_id.bytes
        index = int.from_bytes(raw[12:], "big") ^ self._mask(raw[:12])
        return index if self.user_id(index) == str(user_id) else -1

    def user(self, index: int, created_on: datetime | None = None) -> User:
        """Return the user number ``index``; ``created_on`` is when a new one registered and linked."""
        draw = self._draw(index)
        linked = [self._row(index, draw, place, number, created_on) for place, number in self._picks(draw)]
        user_id = self.user_id(index)
        return User(
            index=index,
            user_id=user_id,
            client_user_id=f"customer-{blake2b(user_id.encode(), digest_size=5).hexdigest()}",
            created_on=created_on or min(row.created_on for row in linked) - timedelta(days=draw[1] % 30, minutes=7),
            connections={row.provider.slug: row for row in linked},
        )

    def is_linked(self, index: int, slug: str) -> bool:
        """Tell whether the user number ``index`` starts with a connection to ``slug``, without making the user."""
        wanted = _SLUG_NUMBERS.get(slug)
        return any(number == wanted for _, number in self._picks(self._draw(index)))

    def count(self, users: int) -> tuple[int, int]:
        """Return how many connections, and how many in error, the first ``users`` start with."""
        connections = errored = 0
        for index in range(users):
            draw = self._draw(index)
            size = _SIZES[draw[0]]
            connections += size
            for place in range(size):
                at = 4 + 14 * place
                errored += int.from_bytes(draw[at + 1 : at + 3], "big") < self._error
        return connections, errored

    def _mask(self, head: bytes) -> int:
        return int.from_bytes(blake2b(head, digest_size=4, key=self._seed[:64]).digest(), "big")

    def _draw(self, index: int) -> bytes:
        return blake2b(b"%d" % index, digest_size=60, key=self._seed[:64]).digest()

    @staticmethod
    def _picks(draw: bytes) -> Iterator[tuple[int, int]]:
        """Yield for each connection its place in ``draw`` and its provider's number, none twice."""
        taken: set[int] = set()
        for place in range(_SIZES[draw[0]]):
            number = _LINKED[draw[4 + 14 * place]]
            while number in taken:
                number = (number + 1) % len(PROVIDERS)
            taken.add(number)
            yield 4 + 14 * place, number

    def _row(self, index: int, draw: bytes, at: int, number: int, created_on: datetime | None) -> Connection:
        provider, style = PROVIDERS[number], draw[at + 3]
        bare = Connection(
            provider=provider,
            status=CONNECTED,
            created_on=created_on or _moment(_LINKED_FROM, _LINKED_FOR, draw[at + 4 : at + 8], style & 2),
            external_user_id=identities.external_user_id(provider, b"%b%d" % (self._seed, index)),
            denied=self._denied(provider, draw[at + 8], draw[at + 9]),
            zulu=bool(style & 1),
            fractions=bool(style & 2),
        )
        return bare if created_on else self._aged(bare, draw, at)

    def _aged(self, row: Connection, draw: bytes, at: int) -> Connection:
        """Give ``row`` the status that it starts with."""
        fate = int.from_bytes(draw[at + 1 : at + 3], "big")
        if fate >= self._paused:
            return row
        error = fate < self._error
        return Connection(
            provider=row.provider,
            status=ERROR if error else PAUSED,
            created_on=row.created_on,
            external_user_id=row.external_user_id,
            failure=self._failure(row, draw, at) if error and draw[at + 10] >= self._null_details else None,
            denied=row.denied,
            zulu=row.zulu,
            fractions=row.fractions,
        )

    @staticmethod
    def _failure(row: Connection, draw: bytes, at: int) -> Failure:
        error_type = _AILMENTS[row.provider.auth][draw[at + 11]]
        return Failure(
            error_type=error_type,
            message=ailments.message(error_type, row.provider),
            errored_at=_moment(_ERRORED_FROM, _ERRORED_FOR, draw[at + 10 : at + 14], row.fractions),
        )

    def _denied(self, provider: Provider, chance: int, choice: int) -> frozenset[str]:
        resource = provider.resources[choice % len(provider.resources)]
        if chance < self._unavailable:
            return frozenset((*resource.required, *resource.optional))
        return frozenset(resource.optional) if chance < 2 * self._unavailable else frozenset()


def _moment(start: datetime, seconds: int, draw: bytes, fractions: object) -> datetime:
    number = int.from_bytes(draw, "big")
    return start + timedelta(seconds=number % seconds, microseconds=number % 999_983 + 1 if fractions else 0)

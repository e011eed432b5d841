"""The simulated world and every change that can happen to it. It never changes by itself."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from monitor.simulator import ailments
from monitor.simulator.catalogue import BY_SLUG
from monitor.simulator.identities import external_user_id
from monitor.simulator.ledger import Change, Ledger
from monitor.simulator.mutation import MUTATIONS, Circumstances, ImpossibleChangeError, come_back
from monitor.simulator.people import Connection
from monitor.simulator.population import Population
from monitor.simulator.roster import Roster
from monitor.simulator.words import CONNECTED, Do, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.simulator.people import User
    from monitor.simulator.population import Shares


def utc_now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


class World:
    """All users of one simulated team.

    ``error_types`` are relative shares that replace the realistic ones. Every change is written to ``ledger``
    before the method that made it returns; a change that makes no sense raises ``ImpossibleChangeError``.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        users: int = 100,
        shares: Shares | None = None,
        error_types: Mapping[str, float] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.ledger = Ledger()
        self.team_id = str(UUID(int=random.Random(f"{seed}:team").getrandbits(128), version=4))
        self._population = Population(seed, shares)
        self._seed = seed
        self.users: Roster = Roster(self._population, users)
        self._error_types = dict(error_types or {})
        self._clock = clock
        self._chance = random.Random(f"{seed}:world")

    def change(
        self,
        do: Do,
        user_id: str | UUID,
        provider: str,
        *,
        error_type: str | None = None,
        resource: str | None = None,
        status: str = "",
        details: bool = True,
        chance: random.Random | None = None,
    ) -> tuple[Change, ...]:
        """Change one connection and return what was written to the ledger.

        What is left open (``error_type``, ``resource``) ``chance`` decides. Without ``details`` an error comes
        with ``error_details`` null. A row comes back healthy unless ``error_type`` is given.
        """
        user = self._living(user_id)
        if do is Do.COME_BACK:
            return self._come_back(user, provider, error_type)
        row = user.connections.get(provider)
        if row is None:
            raise ImpossibleChangeError(f"user {user.user_id} has no connection to {provider}")
        if do is Do.VANISH:
            return self._vanish(user, row)
        if do not in MUTATIONS or not MUTATIONS[do].possible(row):
            raise ImpossibleChangeError(f"{do} is impossible: {provider} of user {user.user_id} is {row.status}")
        chance = chance or self._chance
        if details and do in {Do.BREAK, Do.CHANGE_ERROR, Do.WAVE}:
            error_type = error_type or self._error_type(row, chance)
        case = Circumstances(
            now=self._clock(),
            error_type=error_type if details else None,
            resource=resource or _some_resource(do, row, chance),
            status=status,
        )
        return self._replace_row(do, user, row, MUTATIONS[do].apply(row, case))

    def delete_user(self, user_id: str | UUID, do: Do = Do.DELETE_USER) -> Change:
        """Schedule a user for deletion: from now on 404; the rows are lost. ``do`` is what the ledger says was done."""
        user = self._living(user_id)
        absent = {**user.absent, **user.connections}
        self.users.put(user, replace(user, deleted=True, connections={}, absent=absent))
        return self._write(do, Kind.USER_GONE, user)

    def restore_user(self, user_id: str | UUID) -> Change:
        """Undo a deletion: the user answers again, without connections."""
        user = self.users.find(user_id)
        if user is None or not user.deleted:
            raise ImpossibleChangeError(f"user {user_id} is not deleted")
        self.users.put(user, replace(user, deleted=False))
        return self._write(Do.RESTORE_USER, Kind.USER_RETURNED, user)

    def new_user(self) -> Change:
        """Register one more user, who links providers at once."""
        user = self._population.user(self.users.size, created_on=self._clock())
        self.users.put(None, user)
        return self._write(Do.NEW_USER, Kind.USER_CREATED, user)

    def _living(self, user_id: str | UUID) -> User:
        user = self.users.find(user_id)
        if user is None or user.deleted:
            raise ImpossibleChangeError(f"there is no user {user_id}")
        return user

    def _error_type(self, row: Connection, chance: random.Random) -> str:
        shares: Mapping[str, float] = self._error_types or ailments.SHARES[row.provider.auth]
        return chance.choices(list(shares), list(shares.values()))[0]

    def _come_back(self, user: User, slug: str, error_type: str | None) -> tuple[Change, ...]:
        if slug in user.connections or slug not in {*user.absent, *BY_SLUG}:
            raise ImpossibleChangeError(f"{slug} cannot come to user {user.user_id}")
        now = self._clock()
        before = user.absent.get(slug) or self._stranger(user, slug, now)
        row = come_back(before, Circumstances(now=now, error_type=error_type))
        absent = {name: each for name, each in user.absent.items() if name != slug}
        self.users.put(user, replace(user, connections={**user.connections, slug: row}, absent=absent))
        return (self._write(Do.COME_BACK, Kind.ERRORED if row.in_error else Kind.APPEARED, user, None, row),)

    def _stranger(self, user: User, slug: str, now: datetime) -> Connection:
        seed = b"%d:%d" % (self._seed, user.index)
        provider = BY_SLUG[slug]
        identity = external_user_id(provider, seed)
        return Connection(provider=provider, status=CONNECTED, created_on=now, external_user_id=identity)

    def _vanish(self, user: User, row: Connection) -> tuple[Change, ...]:
        slug = row.provider.slug
        left = {name: each for name, each in user.connections.items() if name != slug}
        self.users.put(user, replace(user, connections=left, absent={**user.absent, slug: row}))
        return (self._write(Do.VANISH, Kind.DISAPPEARED, user, row, None),)

    def _replace_row(self, do: Do, user: User, before: Connection, after: Connection) -> tuple[Change, ...]:
        kind = MUTATIONS[do].kind
        was, is_now = set(before.unavailable), set(after.unavailable)
        if kind is None and was == is_now:
            raise ImpossibleChangeError(f"{do} changes nothing for {before.provider.slug} of user {user.user_id}")
        self.users.put(user, replace(user, connections={**user.connections, after.provider.slug: after}))
        if kind is not None:
            return (self._write(do, kind, user, before, after),)
        seen = Kind.RESOURCE_LOST if do is Do.LOSE_RESOURCE else Kind.RESOURCE_RESTORED
        return tuple(self._write(do, seen, user, before, after, name) for name in sorted(was ^ is_now))

    def _write(
        self,
        do: Do,
        kind: Kind,
        user: User,
        before: Connection | None = None,
        after: Connection | None = None,
        resource: str | None = None,
    ) -> Change:
        row = after or before
        was = before.failure if before else None
        failure = after.failure if after else None
        change = Change(
            sequence=len(self.ledger) + 1,
            at=self._clock(),
            user_id=user.user_id,
            provider=row.provider.slug if row else None,
            do=do,
            kind=kind,
            resource=resource,
            previous_status=before.status if before else None,
            status=after.status if after else None,
            previous_error_type=was.error_type if was else None,
            error_type=failure.error_type if failure else None,
            previous_errored_at=was.errored_at if was else None,
            errored_at=failure.errored_at if failure else None,
        )
        self.ledger.write(change)
        return change


def _some_resource(do: Do, row: Connection, chance: random.Random) -> str:
    lost = set(row.unavailable)
    if do is Do.LOSE_RESOURCE:
        return chance.choice([each.name for each in row.provider.resources if each.name not in lost])
    return chance.choice(sorted(lost)) if do is Do.REGAIN_RESOURCE else ""

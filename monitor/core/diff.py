"""The difference between what was known of a user and what a poll saw.

Rules (contract, section 6): a connection yields at most one status kind per pair of snapshots; resource kinds come
beside it. A snapshot is silent about what it does not cover: absent rows of an incomplete answer, and resources
that a row does not mention.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from monitor.core.model import AVAILABLE, CONNECTED, Connection, Kind, Presence, Snapshot, Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from monitor.core.model import UserState

NAMESPACE: Final = UUID("6f0d7a52-3f0b-5d6e-9d0e-0e5f7a1c2b43")
"""Of the transition ids. Changing it would make old facts look new."""


def diff(state: UserState, snapshot: Snapshot, observed_at: datetime) -> tuple[Transition, ...]:
    """Return what changed between ``state`` and ``snapshot``, ordered by provider, status kinds first.

    A user that was gone and answers again yields ``user_returned`` first; its connections ended when it went.
    """
    build = _Builder(state, observed_at)
    returned = [build(Kind.USER_RETURNED)] if state.presence is Presence.GONE else []
    return (*returned, *build.connections(state.connections, snapshot))


def depart(state: UserState, observed_at: datetime) -> tuple[Transition, ...]:
    """Return the one transition of a user that is declared gone; it ends all of its connections."""
    if state.presence is Presence.GONE:
        return ()
    return (_Builder(state, observed_at)(Kind.USER_GONE),)


def patch(known: Mapping[str, Connection], snapshot: Snapshot) -> dict[str, Connection]:
    """Return the connections after ``snapshot``: it wins where it covers, the known state stays elsewhere."""
    kept = {} if snapshot.complete else dict(known)
    return kept | {name: _carry(known.get(name), row) for name, row in snapshot.connections.items()}


def replay(transitions: Iterable[Transition]) -> dict[str, Connection]:
    """Return the connections that a user's ``transitions``, oldest first, lead to from nothing.

    Holds what transitions carry: status, error fields, and the availability of resources that changed. The oldest
    transitions may be missing, pruned by age, as long as each connection's and each resource's last word is there.
    """
    connections: dict[str, Connection] = {}
    for each in transitions:
        _apply(connections, each)
    return connections


def supersedes(later: Transition, earlier: Transition) -> bool:
    """Return whether ``later`` of the same user leaves nothing that ``earlier`` says, so that it may be forgotten."""
    if later.kind is Kind.USER_GONE:
        return True
    if later.provider != earlier.provider:
        return False
    return later.resource == earlier.resource or later.kind is Kind.DISAPPEARED


def _apply(connections: dict[str, Connection], each: Transition) -> None:
    if each.kind is Kind.USER_GONE:
        connections.clear()
    if each.provider is None:
        return
    if each.resource is not None:
        row = connections.get(each.provider) or _carried(each.provider, each)
        word = AVAILABLE if each.kind is Kind.RESOURCE_RESTORED else "unavailable"
        connections[each.provider] = replace(row, resources={**row.resources, each.resource: word})
    elif each.status is None:
        connections.pop(each.provider, None)
    else:
        known = connections.get(each.provider)
        connections[each.provider] = replace(_carried(each.provider, each), resources=known.resources if known else {})


def _carried(provider: str, each: Transition) -> Connection:
    return Connection(
        provider=provider,
        status=each.status or "",
        error_type=each.error_type,
        error_message=each.error_message,
        errored_at=each.errored_at,
    )


def _carry(known: Connection | None, row: Connection) -> Connection:
    """Keep what is known of resources that ``row`` does not mention."""
    if known is None or known.resources.keys() <= row.resources.keys():
        return row
    return replace(row, resources={**known.resources, **row.resources})


class _Builder:
    """Makes the transitions of one pair of snapshots."""

    def __init__(self, state: UserState, observed_at: datetime) -> None:
        self._state = state
        self._observed_at = observed_at

    def __call__(
        self,
        kind: Kind,
        before: Connection | None = None,
        after: Connection | None = None,
        resource: str | None = None,
    ) -> Transition:
        named = after or before
        provider = named.provider if named else None
        return Transition(
            id=self._id(kind, provider, resource),
            target=self._state.user.target,
            user_id=self._state.user.user_id,
            provider=provider,
            kind=kind,
            resource=resource,
            previous_status=before.status if before else None,
            status=after.status if after else None,
            previous_error_type=before.error_type if before else None,
            error_type=after.error_type if after else None,
            error_message=after.error_message if after else None,
            errored_at=after.errored_at if after else None,
            previous_observed_at=self._state.observed_at,
            observed_at=self._observed_at,
            baseline=self._state.observed_at is None,
        )

    def connections(self, known: Mapping[str, Connection], snapshot: Snapshot) -> Iterator[Transition]:
        covered = known.keys() | snapshot.connections.keys() if snapshot.complete else snapshot.connections.keys()
        for provider in sorted(covered):
            before, after = known.get(provider), snapshot.connections.get(provider)
            kind = _status_kind(before, after)
            if kind is not None:
                yield self(kind, before, after)
            if before is not None and after is not None:
                yield from self._resources(before, after)

    def _resources(self, before: Connection, after: Connection) -> Iterator[Transition]:
        for name in sorted(before.resources.keys() & after.resources.keys()):
            was, is_now = before.resources[name] == AVAILABLE, after.resources[name] == AVAILABLE
            if was != is_now:
                yield self(Kind.RESOURCE_RESTORED if is_now else Kind.RESOURCE_LOST, before, after, name)

    def _id(self, kind: Kind, provider: str | None, resource: str | None) -> UUID:
        before = self._state.observed_at
        user = self._state.user
        # The separator cannot occur in a target, a UUID or a time; vendor words come last, lengths first.
        says = (
            f"{user.target}|{user.user_id}|{before.isoformat() if before else ''}|{self._observed_at.isoformat()}"
            f"|{kind}|{len(provider or '')}|{provider or ''}|{resource or ''}"
        )
        return uuid5(NAMESPACE, says)


def _status_kind(before: Connection | None, after: Connection | None) -> Kind | None:
    if after is None:
        return Kind.DISAPPEARED
    if before is None:
        return Kind.ERRORED if after.in_error else Kind.APPEARED
    if after.in_error:
        return _error_kind(before, after)
    if before.status != after.status:
        return Kind.RECOVERED if before.in_error and after.status == CONNECTED else Kind.STATUS_CHANGED
    if after.status == CONNECTED and _relinked(before, after):
        return Kind.RECONNECTED
    return None


def _error_kind(before: Connection, after: Connection) -> Kind | None:
    if not before.in_error:
        return Kind.ERRORED
    same = (before.error_type, before.errored_at) == (after.error_type, after.errored_at)
    return None if same else Kind.ERROR_CHANGED


def _relinked(before: Connection, after: Connection) -> bool:
    """A creation time that could not be read says nothing."""
    return None not in (before.created_on, after.created_on) and before.created_on != after.created_on

"""The laws of ``diff`` and ``patch`` (DESIGN, *Laws of the core*)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.diff import diff, patch, replay
from monitor.core.model import Kind, Snapshot, UserState
from tests.core.faces import availability, faces
from tests.core.samples import LATER, NOON
from tests.core.strategies import snapshots, states

if TYPE_CHECKING:
    import random

RESOURCE_KINDS = {Kind.RESOURCE_LOST, Kind.RESOURCE_RESTORED}
after_that = states(seen=True)


def advanced(state: UserState, snapshot: Snapshot) -> UserState:
    """Return the state after ``snapshot``."""
    return replace(state, connections=patch(state.connections, snapshot), observed_at=LATER)


@given(after_that, st.booleans())
def test_reflexive(state: UserState, complete: bool) -> None:
    """A state against itself yields nothing."""
    assert diff(state, Snapshot(connections=state.connections, complete=complete), LATER) == ()


@given(states(), snapshots(complete=True))
def test_patch_gives_the_snapshot_where_it_covers(state: UserState, snapshot: Snapshot) -> None:
    """After a complete snapshot exactly its rows are there, each as it was sent."""
    after = patch(state.connections, snapshot)
    assert faces(after) == faces(snapshot.connections)
    sent = {(name, key): word for name, row in snapshot.connections.items() for key, word in row.resources.items()}
    assert {(name, key): after[name].resources[key] for name, key in sent} == sent


@given(states(), snapshots())
def test_patch_keeps_the_old_state_elsewhere(state: UserState, snapshot: Snapshot) -> None:
    """Rows that an incomplete snapshot lacks and resources that a row lacks stay as they were known."""
    after = patch(state.connections, snapshot)
    for name, row in state.connections.items():
        if name not in snapshot.connections:
            assert after.get(name) == (None if snapshot.complete else row)
        else:
            unsaid = row.resources.keys() - snapshot.connections[name].resources.keys()
            assert all(after[name].resources[key] == row.resources[key] for key in unsaid)


@given(states(), snapshots())
def test_the_diff_leads_where_the_patch_leads(state: UserState, snapshot: Snapshot) -> None:
    """Transitions applied to the old faces give the new faces, incomplete snapshots included."""
    born = replace(state, connections={}, observed_at=None)
    first = diff(born, Snapshot(connections=state.connections), NOON)
    after = patch(state.connections, snapshot)
    assert faces(replay([*first, *diff(state, snapshot, LATER)])) == faces(after)


@given(states(), snapshots())
def test_idempotent(state: UserState, snapshot: Snapshot) -> None:
    """A snapshot that was taken over yields nothing and changes nothing when it comes again."""
    after = replace(advanced(state, snapshot), presence=state.presence.PRESENT)
    assert diff(after, snapshot, LATER) == ()
    assert patch(after.connections, snapshot) == after.connections


@given(states(), snapshots())
def test_frame(state: UserState, snapshot: Snapshot) -> None:
    """No transition names a row or a resource that the snapshot does not cover."""
    for each in diff(state, snapshot, LATER):
        row = snapshot.connections.get(each.provider or "")
        assert each.provider is None or row is not None or snapshot.complete
        assert each.resource is None or (row is not None and each.resource in row.resources)


@given(after_that, snapshots(), st.sets(st.sampled_from(["fitbit", "oura", "whoop_v2"])))
def test_local(state: UserState, snapshot: Snapshot, slugs: set[str]) -> None:
    """The diff of a slice is the slice of the diff."""
    sliced_state = replace(state, connections={k: v for k, v in state.connections.items() if k in slugs})
    sliced = replace(snapshot, connections={k: v for k, v in snapshot.connections.items() if k in slugs})
    whole = diff(state, snapshot, LATER)
    assert diff(sliced_state, sliced, LATER) == tuple(each for each in whole if each.provider in slugs)


@given(states(), snapshots())
def test_minimal(state: UserState, snapshot: Snapshot) -> None:
    """A pair yields at most one status kind a connection and at most one resource kind a resource."""
    found = diff(state, snapshot, LATER)
    assert set(Counter((each.provider, each.resource) for each in found).values()) <= {1}
    assert all((each.kind in RESOURCE_KINDS) == (each.resource is not None) for each in found)


@given(states(), snapshots(), st.randoms(use_true_random=False))
def test_order_free(state: UserState, snapshot: Snapshot, shuffler: random.Random) -> None:
    """The order of rows and resources on either side changes neither the transitions nor their order."""
    known, rows = list(state.connections.items()), list(snapshot.connections.items())
    shuffler.shuffle(known)
    shuffler.shuffle(rows)
    turned = {name: replace(row, resources=dict(reversed(list(row.resources.items())))) for name, row in rows}
    found = diff(replace(state, connections=dict(known)), replace(snapshot, connections=turned), LATER)
    assert found == diff(state, snapshot, LATER)


@given(after_that, snapshots(), snapshots())
def test_composable(state: UserState, between: Snapshot, last: Snapshot) -> None:
    """A to B to C ends where A to C ends, in all that C covers."""
    direct, around = advanced(state, last), advanced(advanced(state, between), last)
    for name, row in last.connections.items():
        ends = [replace(each.connections[name], resources={}) for each in (direct, around)]
        assert ends[0] == ends[1] == replace(row, resources={})
        assert row.resources.items() <= around.connections[name].resources.items()
    assert not last.complete or direct.connections.keys() == around.connections.keys()


@given(after_that, snapshots())
def test_resource_kinds_come_exactly_where_availability_changed(state: UserState, snapshot: Snapshot) -> None:
    """A resource seen before and after has a transition if and only if its availability is another."""
    before, after = availability(state.connections), availability(snapshot.connections)
    moved = {key: after[key] for key in before.keys() & after.keys() if before[key] != after[key]}
    found = [each for each in diff(state, snapshot, LATER) if each.kind in RESOURCE_KINDS]
    assert {(each.provider, each.resource): each.kind is Kind.RESOURCE_RESTORED for each in found} == moved

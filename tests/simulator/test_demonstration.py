from __future__ import annotations

import pytest

from monitor.simulator import Do, Fault, Kind, Simulator, demo_scenario
from monitor.simulator.orders import FaultStep

USER_KINDS = {Kind.USER_GONE, Kind.USER_RETURNED, Kind.USER_CREATED}


def play(users: int, duration: float, seed: int = 1) -> tuple[Simulator, list[tuple[float, Kind]]]:
    """Let a demonstration run and note when each change happened."""
    simulator = Simulator(demo_scenario(users, seed, duration))
    seen: list[tuple[float, Kind]] = []
    simulator.ledger.listen(lambda change: seen.append((simulator.course.elapsed, change.kind)))
    simulator.course.advance(duration)
    return simulator, seen


@pytest.mark.parametrize("duration", [15.0, 30.0, 60.0, 300.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_kind_of_change_happens(duration: float, seed: int) -> None:
    """Also a short demonstration shows everything that a connection can do."""
    _, seen = play(200, duration, seed)
    assert {kind for _, kind in seen} >= set(Kind) - USER_KINDS


@pytest.mark.parametrize("duration", [15.0, 30.0, 120.0, 600.0])
def test_changes_leave_time_before_and_after(duration: float) -> None:
    """Nothing happens in the first fifth nor in the last quarter."""
    _, seen = play(200, duration)
    moments = [at for at, _ in seen]
    assert 0.2 * duration <= min(moments)
    assert max(moments) <= 0.75 * duration


def test_there_is_one_wave_and_one_outage() -> None:
    """Most healthy connections of one provider break at 60 %; the API answers 503 for some seconds."""
    simulator, _ = play(300, 60)
    wave = [change for change in simulator.ledger if change.do is Do.WAVE]
    assert len(wave) > 10
    assert len({change.provider for change in wave}) == 1
    outages = [step for step in simulator.scenario.timeline if isinstance(step, FaultStep)]
    assert [(each.fault, each.lasts) for each in outages] == [(Fault.UNAVAILABLE, 6.0)]


def test_users_leave_only_where_time_allows() -> None:
    """A 404 is confirmed a minute later, so a short demonstration deletes nobody, a long one early on."""
    assert not {kind for _, kind in play(200, 119)[1]} & USER_KINDS
    gone = [at for at, kind in play(200, 120)[1] if kind is Kind.USER_GONE]
    assert len(gone) == 3
    assert max(gone) < 40


def test_a_user_returns_only_long_after_it_left() -> None:
    """The absence can be confirmed before it ends."""
    moments = {kind: at for at, kind in play(200, 300)[1] if kind in USER_KINDS}
    assert moments[Kind.USER_RETURNED] - 0.29 * 300 > 60


@pytest.mark.parametrize("users", [0, 1, 10])
def test_small_demonstrations_work(users: int) -> None:
    """With few users less happens, and nothing fails."""
    play(users, 30)

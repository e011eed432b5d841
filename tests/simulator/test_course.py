from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from monitor.simulator import Do, Fault, Kind, Scenario, Simulator
from monitor.simulator.catalogue import BY_SLUG
from monitor.simulator.orders import Order

ALL_KINDS = {
    "changes": {
        "per_second": 20,
        "shares": {each: 1 for each in Do if each not in {Do.WAVE, Do.DELETE_USERS}},
    }
}


def run(settings: dict[str, Any], steps: list[float]) -> Simulator:
    """Advance a simulator that is not on the net through these times."""
    simulator = Simulator(Scenario.model_validate({"users": 60, "seed": 3, **settings}))
    for step in steps:
        simulator.course.advance(step)
    return simulator


def story(simulator: Simulator) -> list[tuple[Any, ...]]:
    """Return the ledger without its times."""
    return [
        (each.sequence, each.user_id, each.provider, each.kind, each.resource, each.status, each.error_type)
        for each in simulator.ledger
    ]


def test_the_sequence_does_not_depend_on_the_steps_of_time() -> None:
    """One long step and many short ones make the same changes in the same order."""
    at_once = run(ALL_KINDS, [30.0])
    bit_by_bit = run(ALL_KINDS, [step / 7 for step in range(211)])
    assert len(at_once.ledger) > 400
    assert story(at_once) == story(bit_by_bit)


def test_another_seed_makes_another_story() -> None:
    """Chance comes from the seed."""
    assert story(run(ALL_KINDS, [5.0])) != story(run(ALL_KINDS | {"seed": 4}, [5.0]))


def test_every_kind_of_change_happens() -> None:
    """Left to itself, the world shows every kind that an observer can see."""
    assert {each.kind for each in run(ALL_KINDS, [60.0]).ledger} == set(Kind)


def test_the_rate_is_kept() -> None:
    """As many changes happen in a time as were asked for."""
    simulator = run({"users": 400, "changes": {"per_second": 10, "shares": {"relink": 1}}}, [50.0])
    assert len(simulator.ledger) == pytest.approx(500, rel=0.2)


def test_nothing_happens_unless_asked() -> None:
    """The default rate is nought."""
    simulator = run({}, [3_600.0])
    assert len(simulator.ledger) == 0
    assert simulator.course.finished


def test_changes_keep_to_their_window() -> None:
    """Nothing happens before ``from`` and nothing after ``until``."""
    changes = {"per_second": 50, "from": "10s", "until": "20s", "shares": {"relink": 1}}
    simulator = run({"changes": changes}, [9.9])
    assert len(simulator.ledger) == 0
    simulator.course.advance(20)
    made = len(simulator.ledger)
    simulator.course.advance(60)
    assert made == len(simulator.ledger) > 300
    assert simulator.course.finished


def test_a_user_that_has_changed_is_left_in_peace() -> None:
    """Within ``rest`` no user changes twice."""
    changes = {"per_second": 20, "rest": "10s", "shares": {"relink": 1}}
    simulator = run({"changes": changes}, [9.0])
    assert set(Counter(each.user_id for each in simulator.ledger).values()) == {1}


def test_a_wave_breaks_a_share_of_one_provider() -> None:
    """All of it breaks with one error, and no other provider is touched."""
    wave = {"at": "5s", "do": "wave", "provider": "garmin", "error_type": "token_refresh_failed", "share": 0.5}
    simulator = run({"users": 400, "timeline": [wave]}, [5.0])
    assert {(each.provider, each.kind, each.error_type, each.do) for each in simulator.ledger} == {
        ("garmin", Kind.ERRORED, "token_refresh_failed", Do.WAVE)
    }
    garmins = len(list(simulator.world.users.linked("garmin")))
    assert len(simulator.ledger) == pytest.approx(garmins / 2, rel=0.3)


@pytest.mark.parametrize(("users", "deleted"), [(60, 30), (9, 4), (1, 0), (0, 0)])
def test_half_a_cohort_is_deleted(users: int, deleted: int) -> None:
    """Half of those who are there, and no user twice."""
    simulator = run({"users": users, "timeline": [{"at": 1, "do": "delete_users", "share": 0.5}]}, [1.0])
    assert len({each.user_id for each in simulator.ledger}) == len(simulator.ledger) == deleted
    assert simulator.world.users.present == users - deleted


def test_the_timeline_happens_in_its_order() -> None:
    """Steps happen at their time, however they are written down."""
    steps = [{"at": "20s", "do": "delete_user", "user": 1}, {"at": "10s", "do": "relink"}, {"at": 30, "do": "new_user"}]
    simulator = run({"timeline": steps}, [10.0])
    assert [each.do for each in simulator.ledger] == [Do.RELINK]
    simulator.course.advance(40)
    assert [each.do for each in simulator.ledger] == [Do.RELINK, Do.DELETE_USER, Do.NEW_USER]


def test_the_timeline_switches_faults() -> None:
    """A fault begins and ends with the course."""
    steps = [{"at": 1, "do": "fault", "fault": "unavailable"}, {"at": 2, "do": "clear"}]
    simulator = run({"timeline": steps}, [1.0])
    assert [each.order.fault for each in simulator.faults.active] == [Fault.UNAVAILABLE]
    simulator.course.advance(2)
    assert not simulator.faults


def test_a_step_without_a_candidate_is_left_out() -> None:
    """What cannot happen does not, and the rest goes on."""
    steps = [{"at": 1, "do": "restore_user"}, {"at": 2, "do": "break", "user": 999}, {"at": 3, "do": "relink"}]
    assert [each.do for each in run({"timeline": steps}, [9.0]).ledger] == [Do.RELINK]


def test_an_empty_world_has_no_story() -> None:
    """Without users nothing can change and nothing fails."""
    assert len(run({"users": 0, "changes": {"per_second": 10, "shares": {"break": 1}}}, [10.0]).ledger) == 0


def test_changes_on_demand_do_not_shift_the_course() -> None:
    """A change that a test makes leaves the choices of the schedule as they were."""
    settings = {"users": 500, "changes": {"per_second": 5, "shares": {"relink": 1}}}
    disturbed = run(settings, [1.0])
    disturbed.world.change(Do.COME_BACK, disturbed.world.users.id_at(3), _unlinked(disturbed, 3))
    disturbed.course.advance(5)
    undisturbed = [entry[1] for entry in story(run(settings, [5.0]))]
    assert [each.user_id for each in disturbed.ledger if each.do is Do.RELINK] == undisturbed


def _unlinked(simulator: Simulator, index: int) -> str:
    return next(slug for slug in BY_SLUG if slug not in simulator.world.users.at(index).connections)


def test_a_named_user_without_a_candidate_is_said() -> None:
    """An order for one user is never carried out on another."""
    simulator = run({}, [])
    with pytest.raises(ValueError, match="no connection for come_back"):
        simulator.course.carry_out(Order(do=Do.COME_BACK, user=0))

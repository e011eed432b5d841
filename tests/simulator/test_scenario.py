from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import monitor.simulator
from monitor.simulator import Do, Fault, Scenario, ScenarioError, Simulator, load, parse
from monitor.simulator.orders import ClearStep, FaultStep, Step, seconds

EXAMPLE = Path(__file__).parent / "scenarios" / "wave.yaml"
ISOLATION = EXAMPLE.with_name("isolation.yaml")


def test_the_example_is_read() -> None:
    """Every key of the example ends where it belongs."""
    scenario = load(EXAMPLE)
    assert (scenario.seed, scenario.users, scenario.changes.per_second) == (7, 200, 2)
    assert (scenario.changes.since, scenario.changes.until, scenario.changes.rest) == (5, 50, 5)
    wave, outage, broken, deleted, clear = scenario.timeline
    assert isinstance(wave, Step)
    assert (wave.at, wave.do, wave.provider, wave.share) == (10, Do.WAVE, "fitbit", 0.5)
    assert isinstance(outage, FaultStep)
    assert (outage.fault, outage.lasts, outage.share) == (Fault.UNAVAILABLE, 5, 0.8)
    assert isinstance(broken, Step)
    assert isinstance(deleted, Step)
    assert (broken.user, deleted.do, type(clear)) == (3, Do.DELETE_USER, ClearStep)


def test_the_example_happens() -> None:
    """A world runs through the example and its wave."""
    simulator = Simulator(load(EXAMPLE))
    simulator.course.advance(60)
    assert {Do.WAVE, Do.BREAK, Do.HEAL, Do.DELETE_USER} <= {change.do for change in simulator.ledger}
    assert simulator.course.finished


def test_every_fault_of_isolation_can_be_scheduled() -> None:
    """The file names each one with its options, and the world runs through it."""
    scenario = load(ISOLATION)
    scheduled = {step.fault for step in scenario.timeline if isinstance(step, FaultStep)}
    assert scheduled == {
        Fault.STATUS,
        Fault.EMPTY_LIST,
        Fault.MISSING_PROVIDER,
        Fault.RESTAMP,
        Fault.ODD_DATES,
        Fault.ODD_TEXTS,
        Fault.SHORT_PAGES,
        Fault.TIMEOUT,
    }
    simulator = Simulator(scenario)
    simulator.course.advance(600)
    assert Counter(change.do for change in simulator.ledger) == {Do.SET_STATUS: 1, Do.DELETE_USERS: 10}


def test_the_documented_scenario_is_valid() -> None:
    """What the package's docstring shows can be typed in as it stands."""
    documented = re.search(r"refused::\n\n((?:    .*\n)+)", monitor.simulator.__doc__ or "")
    assert documented is not None
    assert len(parse(documented[1]).timeline) == 4


def test_every_change_and_fault_is_documented() -> None:
    """The package's docstring names all words."""
    said = monitor.simulator.__doc__ or ""
    assert [word for word in (*Do, *Fault) if f"``{word}``" not in said] == []


def test_an_empty_file_is_the_default() -> None:
    """Every key may be left out."""
    assert parse("") == parse("{}") == Scenario()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("usres: 3", "s.yaml: usres: unknown key; did you mean users?"),
        ("qqqqq: 3", "s.yaml: qqqqq: unknown key"),
        ("users: -1", "s.yaml: users: expected greater than or equal to 0, got -1"),
        ("users: many", "s.yaml: users: expected a valid integer, unable to parse string as an integer, got 'many'"),
        ("initial: {error: 2}", "s.yaml: initial.error: expected less than or equal to 1, got 2"),
        ("changes: {from: soon}", "s.yaml: changes.from: expected a duration such as 250ms, 10s, 5m, or seconds"),
        ("changes: {shares: {break: -1}}", "s.yaml: changes.shares.break: expected greater than or equal to 0, got -1"),
        ("timeline: [{do: relink}]", "s.yaml: timeline[0].at: is required"),
        ("timeline: [{at: 1, do: fault}]", "s.yaml: timeline[0].fault: is required"),
        (
            "timeline: [{at: 1, do: fault, fault: html, fro: 2s}]",
            "s.yaml: timeline[0].fro: unknown key; did you mean for?",
        ),
        ("timeline: [{at: 1, do: wave}]", "s.yaml: timeline[0]: wave needs a provider"),
        ("timeline: [{at: 1, do: fault, fault: status}]", "s.yaml: timeline[0]: fault status needs a status"),
        (
            "timeline: [{at: 1, do: fault, fault: missing_provider}]",
            "s.yaml: timeline[0]: fault missing_provider needs a provider",
        ),
        (
            "timeline: [{at: 1, do: set_status, status: Paused}]",
            "s.yaml: timeline[0]: set_status needs a status that the vendor does not document",
        ),
        ("timeline: [{at: 1, do: pause, error_type: x}]", "s.yaml: timeline[0]: pause takes no error_type"),
        ("timeline: [1]", "s.yaml: timeline[0]: expected keys and values, got 1"),
        ("- 1", "s.yaml: expected keys and values"),
        ("a: [", "s.yaml, line 1: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_bad_scenario_is_one_clear_line(text: str, line: str) -> None:
    """The line names file, key and what was expected."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, "s.yaml")
    assert caught.value.lines == (line,)


def test_every_word_that_is_unknown_is_told_with_those_that_are_known() -> None:
    """A wrong change or fault lists the right ones."""
    with pytest.raises(ScenarioError, match=r"timeline\[0\]\.do: expected 'break', 'heal'"):
        parse("timeline: [{at: 1, do: explode}]")
    with pytest.raises(ScenarioError, match=r"timeline\[0\]\.fault: expected 'throttle', 'throttle_date'"):
        parse("timeline: [{at: 1, do: fault, fault: flood}]")


def test_all_faults_are_told_at_once() -> None:
    """Nobody repairs a file one line a try."""
    with pytest.raises(ScenarioError) as caught:
        parse("users: x\nseed: y\nfoo: 1")
    assert len(caught.value.lines) == 3


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """The line names the file and why."""
    with pytest.raises(ScenarioError, match=r"absent\.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ScenarioError, match=r"binary\.yaml: cannot be read: not UTF-8"):
        load(tmp_path / "binary.yaml")


@pytest.mark.parametrize(("text", "expected"), [("250ms", 0.25), ("10s", 10), ("1.5m", 90), ("1h", 3600), (7, 7)])
def test_durations_have_units(text: object, expected: float) -> None:
    """A bare number is seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 day", -1, True, None])
def test_other_durations_are_refused(text: object) -> None:
    """What is no duration is not guessed at."""
    with pytest.raises(ValueError, match="expected a duration"):
        seconds(text)

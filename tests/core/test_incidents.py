"""Many users, one cause: when a wave is one incident, what becomes of its members, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerting import AlertState
from monitor.core.diff import diff
from monitor.core.incidents import Cause, Incident, IncidentDecision, Wave, WaveKey, breaks, lived, suspicious
from monitor.core.model import Transition, User, UserState
from monitor.core.policy import IncidentRule, Policy, Severity, incident_rule
from monitor.core.tally import Count, Key
from monitor.core.wording import INCIDENT_REMEDIES, incident_payload, incident_summary
from tests.core.desk import Desk
from tests.core.samples import NOON, broken, connected, snapshot

T = "acme_us"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
RULE = IncidentRule(min_users=5, min_share=0.05, within=15 * MINUTE)
HELD = incident_rule(min_users=5, min_share=0.05, within=15 * MINUTE, interval=15 * MINUTE)
WAVE = WaveKey(T, "fitbit", "token_refresh_failed")
HUNDRED = {WAVE: Wave(connections=100)}


def person(number: int) -> User:
    """Return one of many users."""
    return User(target=T, user_id=UUID(int=number))


def breaking(*numbers: int, provider: str = "fitbit", error_type: str = "token_refresh_failed") -> list[Transition]:
    """Return the transitions of users whose connection broke at noon."""
    before = snapshot(connected(provider)).connections
    states = [UserState(user=person(each), connections=before, observed_at=NOON - 15 * MINUTE) for each in numbers]
    return [diff(each, snapshot(broken(provider, error_type)), NOON)[0] for each in states]


def healing(*numbers: int) -> list[Transition]:
    """Return the transitions of users whose connection healed a minute after noon."""
    before = snapshot(broken()).connections
    states = [UserState(user=person(each), connections=before, observed_at=NOON) for each in numbers]
    return [diff(each, snapshot(connected()), NOON + MINUTE)[0] for each in states]


def desk(rule: IncidentRule | None = RULE) -> Desk:
    """Return a desk for a policy with incidents."""
    return Desk(Policy(incident=rule))


def people(decisions: list[IncidentDecision]) -> list[tuple[AlertState, int]]:
    """Return what people heard of incidents."""
    return [(each.incident.state, each.incident.users) for each in decisions]


def test_a_wave_is_one_incident_with_quiet_members() -> None:
    """One loud alert; its members carry its id, and are told quietly."""
    found = desk()
    fired = [each for each in found.meet(breaking(*range(7)), NOON, waves=HUNDRED) if each.told]
    (opened,) = found.steps
    assert (opened.incident.key, opened.incident.severity, opened.incident.state) == (
        WAVE,
        Severity.CRITICAL,
        AlertState.FIRING,
    )
    assert {each.alert.incident_id for each in fired} == {opened.incident.id}
    assert {each.alert.severity for each in fired} == {Severity.INFO}
    assert len(fired) == 7


@pytest.mark.parametrize(
    ("users", "connections", "usual", "is_incident"),
    [
        (5, 100, 0.0, True),
        (4, 80, 0.0, False),
        (5, 101, 0.0, False),
        (50, 1000, 0.0, True),
        (50, 1000, 17.0, False),
        (50, 1000, 10.0, True),
        (5, 0, 0.0, True),
    ],
)
def test_a_wave_is_large_a_good_share_and_unusual(
    users: int, connections: int, usual: float, is_incident: bool
) -> None:
    """All three: enough users, enough of the provider's connections, and clearly more than at other times."""
    members = frozenset(UUID(int=each) for each in range(users))
    assert breaks(RULE, Wave(users=members, connections=connections, usual=usual)) is is_incident


def test_members_that_fired_before_are_counted() -> None:
    """The wave knows them; the fifth opens the incident."""
    earlier = Wave(users=frozenset(UUID(int=each) for each in range(4)), since=NOON - MINUTE, connections=100)
    found = desk()
    found.meet(breaking(9), NOON, waves={WAVE: earlier})
    (opened,) = found.steps
    assert (opened.incident.users, opened.incident.since, opened.incident.share) == (5, NOON - MINUTE, 0.05)


def test_a_user_is_counted_once() -> None:
    """Also when its connection broke again within the window."""
    earlier = Wave(users=frozenset(UUID(int=each) for each in range(4)), connections=100)
    found = desk()
    found.meet(breaking(0), NOON, waves={WAVE: earlier})
    assert not found.steps


def test_those_that_have_just_healed_are_not_counted() -> None:
    """Four that fired heal in the very docket in which a fifth breaks."""
    found = desk()
    found.meet(breaking(0, 1, 2, 3), NOON, waves=HUNDRED)
    wave = Wave(users=frozenset(UUID(int=each) for each in range(4)), connections=100)
    found.meet([*healing(0, 1, 2, 3), *breaking(9)], NOON + MINUTE, waves={WAVE: wave})
    assert not found.steps


def test_later_members_join_an_open_incident() -> None:
    """However few they are."""
    found = desk()
    found.meet(breaking(*range(6)), NOON, waves=HUNDRED)
    (late, *_) = [each for each in found.meet(breaking(77), NOON + MINUTE, waves=HUNDRED) if each.told]
    assert late.alert.incident_id == found.steps[0].incident.id
    assert len(found.steps) == 1


def test_other_errors_and_providers_are_other_waves() -> None:
    """A wave is of one target, provider and error type."""
    mixed = [
        *breaking(1, 2, 3),
        *breaking(4, 5, 6, error_type="user_not_found"),
        *breaking(7, 8, 9, provider="oura"),
    ]
    keys = [WAVE, WaveKey(T, "fitbit", "user_not_found"), WaveKey(T, "oura", "token_refresh_failed")]
    found = desk()
    told = [each for each in found.meet(mixed, NOON, waves=dict.fromkeys(keys, HUNDRED[WAVE])) if each.told]
    assert not found.steps
    assert {each.alert.severity for each in told} == {Severity.WARNING}


def test_a_small_provider_has_no_incidents_and_no_waiting() -> None:
    """Fewer connections than an incident takes: everything fires at once."""
    found = desk(HELD)
    told = [each for each in found.meet(breaking(1), NOON, waves={WAVE: Wave(connections=4)}) if each.told]
    assert len(told) == 1


def test_an_alert_waits_a_little_for_others_like_it() -> None:
    """A small part of the interval; then it fires alone."""
    found = desk(HELD)
    assert not [each for each in found.meet(breaking(1), NOON, waves=HUNDRED) if each.told]
    assert not found.meet([], NOON + HELD.hold - SECOND / 1000, waves=HUNDRED)
    (fired,) = found.meet([], NOON + HELD.hold, waves=HUNDRED)
    assert (fired.state, fired.reason) == (AlertState.FIRING, "it is new")


def test_an_alert_that_waits_for_others_fires_when_the_clock_is_set_back() -> None:
    """How long it has waited is not known then, and it must not wait for as long as the step."""
    found = desk(HELD)
    assert not [each for each in found.meet(breaking(1), NOON, waves=HUNDRED) if each.told]
    (fired,) = found.meet([], NOON - 60 * MINUTE, waves=HUNDRED)
    assert fired.state is AlertState.FIRING


def test_a_suspicious_wave_waits_longer_but_not_for_long() -> None:
    """Three like errors wait up to an interval for the others; then they fire."""
    found, now = desk(HELD), NOON
    wave = {WAVE: Wave(users=frozenset(UUID(int=each) for each in (1, 2, 3)), connections=100)}
    steps = found.meet(breaking(1, 2, 3), now, waves=HUNDRED)
    while not any(each.told for each in steps):
        now = min(each.due_at for each in found.open.values() if each.due_at)
        steps = found.meet([], now, waves=wave)
    assert now - NOON == 15 * MINUTE
    assert [each.told for each in steps] == [True] * 3


def test_held_alerts_join_the_incident_that_they_make() -> None:
    """Nobody hears of a single one before."""
    found = desk(HELD)
    assert not [each for each in found.meet(breaking(1, 2, 3), NOON, waves=HUNDRED) if each.told]
    wave = {WAVE: Wave(users=frozenset(UUID(int=each) for each in (1, 2, 3)), connections=100)}
    steps = found.meet(breaking(4, 5), NOON + HELD.hold, waves=wave)
    assert [each.alert.severity for each in steps if each.told] == [Severity.INFO] * 5
    assert people(found.steps) == [(AlertState.FIRING, 5)]


def test_an_alert_that_waits_and_heals_is_told() -> None:
    """A wait for others loses nothing."""
    found = desk(HELD)
    found.meet(breaking(1), NOON, waves=HUNDRED)
    steps = found.meet(healing(1), NOON + MINUTE, waves=HUNDRED)
    assert [each.state for each in steps if each.told] == [AlertState.FIRING, AlertState.RESOLVED]


def test_a_usual_rate_is_no_wave() -> None:
    """Where so many break in every window, each has its alert, at once."""
    often = {WAVE: replace(HUNDRED[WAVE], usual=4.0)}
    found = desk(HELD)
    found.meet(breaking(1, 2, 3, 4, 5, 6), NOON, waves=often)
    told = [each for each in found.meet([], NOON + HELD.hold, waves=often) if each.told]
    assert not found.steps
    assert len(told) == 6


def test_errors_that_are_not_alerted_on_make_no_incident() -> None:
    """A severity of none is a wish."""
    found = Desk(Policy(incident=RULE, otherwise=Severity.NONE))
    found.meet(breaking(*range(50)), NOON, waves=HUNDRED)
    assert not found.steps


def test_an_incident_is_one_step_louder_than_its_members() -> None:
    """Up to critical."""
    assert [each.louder for each in (Severity.INFO, Severity.WARNING, Severity.CRITICAL, Severity.NONE)] == [
        Severity.WARNING,
        Severity.CRITICAL,
        Severity.CRITICAL,
        Severity.NONE,
    ]


def open_incident(**changes: object) -> Incident:
    """Return an incident of ten users that was opened at noon."""
    found = Incident(
        id=UUID(int=1),
        key=WAVE,
        severity=Severity.CRITICAL,
        cause=Cause.PROVIDER,
        state=AlertState.FIRING,
        since=NOON - MINUTE,
        opened_at=NOON,
        users=10,
        share=0.1,
        told_users=10,
        broken=10,
        joined_at=NOON,
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # fields by name


def test_an_incident_is_told_again_at_each_doubling() -> None:
    """Not for every member."""
    assert lived(RULE, open_incident(users=19), NOON + MINUTE) is None
    grown = lived(RULE, open_incident(users=20), NOON + MINUTE)
    assert grown is not None
    assert (grown.incident.told_users, grown.incident.updates) == (20, 1)
    assert lived(RULE, grown.incident, NOON + MINUTE) is None
    assert (
        incident_summary(grown)
        == "fitbit incident grows: token_refresh_failed has hit 20 users (10% of fitbit connections)."
    )


def test_an_incident_that_grew_stays_open() -> None:
    """It is told again, and later members join it."""
    found = desk()
    found.incidents = {UUID(int=1): open_incident(users=20)}
    (late, *_) = [each for each in found.meet(breaking(77), NOON, waves=HUNDRED) if each.told]
    assert people(found.steps) == [(AlertState.FIRING, 20)]
    assert late.alert.incident_id == UUID(int=1)


def test_an_incident_is_over_when_all_have_healed() -> None:
    """At once."""
    over = lived(RULE, open_incident(broken=0), NOON + MINUTE)
    assert over is not None
    assert (over.incident.state, over.reason) == (AlertState.RESOLVED, "all of its members have healed")


def test_an_incident_is_over_when_nobody_joined_for_the_window() -> None:
    """And says how many are in error still."""
    assert lived(RULE, open_incident(), NOON + 15 * MINUTE - SECOND) is None
    over = lived(RULE, open_incident(broken=7), NOON + 15 * MINUTE)
    assert over is not None
    assert over.reason == "nobody joined for 15 min; 7 of its members are in error still"
    assert lived(replace(RULE, within=30 * SECOND), open_incident(), NOON + MINUTE) is not None


def test_incidents_that_are_switched_off_end() -> None:
    """Else one would stay open for ever."""
    over = lived(None, open_incident(), NOON)
    assert over is not None
    assert over.reason == "incidents are switched off"


def test_after_an_incident_a_single_break_is_a_single_alert() -> None:
    """Its members are no longer counted."""
    found = desk()
    found.meet(breaking(*range(6)), NOON, waves=HUNDRED)
    found.incidents = {each: replace(incident, broken=0) for each, incident in found.incidents.items()}
    steps = found.meet(breaking(50), NOON + MINUTE, waves=HUNDRED)
    assert [each.alert.incident_id for each in steps if each.told] == [None]


def test_the_cause_of_a_wave_is_the_provider_or_junction() -> None:
    """Junction, where it could not subscribe, or where three providers break in one way at once."""
    found = desk()
    for provider in ("fitbit", "oura", "garmin"):
        key = WaveKey(T, provider, "token_refresh_failed")
        found.meet(breaking(*range(6), provider=provider), NOON, waves={key: Wave(connections=10)})
    assert [each.incident.cause for each in found.steps] == [Cause.PROVIDER, Cause.PROVIDER, Cause.JUNCTION]
    other = desk()
    failed = WaveKey(T, "fitbit", "webhook_registration_failed")
    waves = {failed: Wave(connections=10)}
    other.meet(breaking(*range(6), error_type="webhook_registration_failed"), NOON, waves=waves)
    assert other.steps[0].incident.cause is Cause.JUNCTION
    assert "the fault lies with Junction" in incident_summary(other.steps[0])


def test_an_incident_s_line_says_everything() -> None:
    """Key for key, without any user."""
    found = desk()
    found.meet(breaking(*range(7)), NOON, waves=HUNDRED)
    assert incident_payload(found.steps[0]) == {
        "schema": 1,
        "alert_id": str(found.steps[0].incident.id),
        "state": "firing",
        "severity": "critical",
        "target": T,
        "provider": "fitbit",
        "error_type": "token_refresh_failed",
        "cause": "provider",
        "users": 7,
        "share": 0.07,
        "broken": 7,
        "since": "2026-03-01T12:00:00Z",
        "observed_at": "2026-03-01T12:00:00Z",
        "updates": 0,
        "summary": "fitbit connections of 7 users (7% of fitbit connections) went into token_refresh_failed at about "
        "the same time: the fault lies with the provider.",
        "remedy": INCIDENT_REMEDIES[Cause.PROVIDER],
    }
    over = lived(RULE, open_incident(broken=0), NOON)
    assert over is not None
    assert incident_summary(over) == (
        "fitbit incident is over: token_refresh_failed hit 10 users (10% of fitbit connections); "
        "all of its members have healed."
    )


def test_counts_of_incidents_and_alerts_move_with_the_steps() -> None:
    """Open ones, and firing ones by their severity."""
    found = desk()
    found.meet(breaking(*range(6)), NOON, waves=HUNDRED)
    assert found.counts[Key(T, Count.INCIDENTS, "fitbit", "token_refresh_failed")] == 1
    assert found.counts[Key(T, Count.ALERTS, "fitbit", "info")] == 6
    found.incidents = {each: replace(incident, broken=0) for each, incident in found.incidents.items()}
    found.meet([], NOON + MINUTE)
    assert found.counts[Key(T, Count.INCIDENTS, "fitbit", "token_refresh_failed")] == 0


@given(st.integers(0, 200), st.integers(0, 400), st.floats(0, 50), st.integers(2, 20), st.floats(0.01, 1))
def test_more_of_a_wave_never_makes_it_less(
    users: int, connections: int, usual: float, min_users: int, min_share: float
) -> None:
    """Monotone in its users; an incident is suspicious before it is one."""
    rule = IncidentRule(min_users=min_users, min_share=min_share)
    members = frozenset(UUID(int=each) for each in range(users))
    wave = Wave(users=members, connections=connections, usual=usual)
    larger = replace(wave, users=members | {UUID(int=1000)})
    assert breaks(rule, larger) >= breaks(rule, wave)
    assert suspicious(rule, wave) >= breaks(rule, wave)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=40))
def test_of_a_wave_each_member_is_told_once_and_belongs_to_one_incident(steps: list[tuple[int, int]]) -> None:
    """However it comes: in one docket or in many."""
    found, now, seen = desk(HELD), NOON, set[int]()
    for number, quarters in steps:
        now += quarters * HELD.hold / 4
        fresh = breaking(number) if number not in seen else []
        seen.add(number)
        pending = frozenset(each.user.user_id for each in found.open.values() if each.incident_id is None)
        found.meet(fresh, now, waves={WAVE: Wave(users=pending, connections=100)})
    for _ in range(20):
        now += MINUTE
        pending = frozenset(each.user.user_id for each in found.open.values() if each.incident_id is None)
        found.meet([], now, waves={WAVE: Wave(users=pending, connections=100)})
    told = [each.alert.user for each in found.told]
    assert sorted(told, key=lambda user: user.user_id) == [person(each) for each in sorted(seen)]


def test_a_resource_that_is_back_leaves_the_wave_alone() -> None:
    """Its alert is over, and the error of the same connection is not."""
    found = Desk(Policy(incident=RULE, resource_lost=Severity.INFO))
    key = WaveKey(T, "fitbit", "unspecified")
    rows = [connected(sleep=word) for word in ("available", "unavailable")]
    lost, back = (
        diff(
            UserState(user=person(0), connections={"fitbit": before}, observed_at=NOON), snapshot(after), NOON + MINUTE
        )
        for before, after in (rows, rows[::-1])
    )
    found.meet(lost, NOON + MINUTE)
    wave = {key: Wave(users=frozenset(UUID(int=each) for each in range(4)), connections=100)}
    found.meet([*back, *breaking(9, error_type="unspecified")], NOON + 2 * MINUTE, waves=wave)
    assert people(found.steps) == [(AlertState.FIRING, 5)]

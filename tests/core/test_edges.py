"""Values at the edges, and small functions, that the laws and stories pass over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import pytest

from monitor.core import flapping, incidents, judge, tally
from monitor.core.alerting import NAMESPACE, AlertKind, AlertState, Decision, unraised
from monitor.core.diff import diff, replay, supersedes
from monitor.core.evaluation import Docket, Entry, evaluate, wave_keys
from monitor.core.incidents import USUAL_OVER, Wave, WaveKey, key_of, past_windows, possible, worth_comparing
from monitor.core.model import Kind, Outcome, Presence, Transition, User
from monitor.core.policy import ANY, HOLD_PART, Flapping, IncidentRule, Policy, Severity, flapping_rule, incident_rule
from monitor.core.telling import Telling
from monitor.core.wording import incident_payload, payload, summary
from tests.core.desk import Desk
from tests.core.samples import CADENCE, LATER, NOON, USER, broken, claim, connected, snapshot, state

MINUTE = timedelta(minutes=1)
T = USER.target
RULE = IncidentRule(min_users=5, min_share=0.05, within=15 * MINUTE)


def transitions(*pairs: tuple[object, object]) -> list[Transition]:
    """Return what each pair of rows differs by."""
    found: list[Transition] = []
    for before, after in pairs:
        rows = [[each] if each else [] for each in (before, after)]
        found += diff(state(*rows[0]), snapshot(*rows[1]), LATER)  # type: ignore[arg-type]
    return found


# --- diff ---

LOST, RESTORED = (
    transitions((connected(sleep="available"), connected(sleep="no")))[0],
    transitions((connected(sleep="no"), connected(sleep="available")))[0],
)
BODY_LOST = transitions((connected(body="available"), connected(body="no")))[0]
BROKE, HEALED = transitions((connected(), broken()))[0], transitions((broken(), connected()))[0]
OTHER_BROKE = transitions((connected("oura"), broken("oura")))[0]
VANISHED = transitions((connected(), None))[0]
GONE = replace(BROKE, kind=Kind.USER_GONE, provider=None, status=None)


@pytest.mark.parametrize(
    ("later", "earlier", "so"),
    [
        (HEALED, BROKE, True),
        (OTHER_BROKE, BROKE, False),
        (LOST, BROKE, False),
        (HEALED, LOST, False),
        (RESTORED, LOST, True),
        (BODY_LOST, LOST, False),
        (VANISHED, LOST, True),
        (VANISHED, BROKE, True),
        (VANISHED, OTHER_BROKE, False),
        (GONE, OTHER_BROKE, True),
        (GONE, LOST, True),
    ],
)
def test_what_makes_an_earlier_transition_superfluous(later: Transition, earlier: Transition, so: bool) -> None:
    """The last word on a connection or on a resource, the end of the row, and the end of the user."""
    assert supersedes(later, earlier) is so


def test_a_history_whose_beginning_is_pruned_leads_to_the_same_resources() -> None:
    """A resource's last word carries its connection, where that one's is gone."""
    (found,) = replay([LOST]).values()
    assert (found.provider, found.status, found.resources) == ("fitbit", "connected", {"sleep": "unavailable"})


def test_every_resource_keeps_its_last_word() -> None:
    """One does not make another forgotten."""
    (found,) = replay([BODY_LOST, LOST]).values()
    assert found.resources == {"body": "unavailable", "sleep": "unavailable"}


def test_the_ids_of_what_a_first_snapshot_shows_stay_what_they_are() -> None:
    """Else facts would be stored twice after an upgrade."""
    (found,) = diff(state(observed_at=None), snapshot(connected()), NOON)
    assert found.id == UUID("3aa51dc8-0b87-5347-a0a7-f7b7249edc3c")


def test_the_end_of_what_is_not_there_is_no_fault() -> None:
    """Its beginning was pruned."""
    assert replay([VANISHED]) == {}


# --- waves ---


def test_waves_are_counted_in_alerts_and_in_new_transitions() -> None:
    """By target, provider and error type; alerts on resources and transitions of users belong to none."""
    desk = Desk(Policy(resource_lost=Severity.INFO))
    desk.meet([BROKE, LOST], LATER)
    entries = [Entry(number=n, user=USER, transition=each) for n, each in enumerate((BROKE, OTHER_BROKE, GONE))]
    entries.append(Entry(number=9, user=USER, transition=None))
    assert wave_keys(entries, desk.open.values()) == Counter(
        {WaveKey(T, "fitbit", "token_refresh_failed"): 2, WaveKey(T, "oura", "token_refresh_failed"): 1}
    )
    untyped = transitions((connected(), broken(error_type=None)))[0]
    assert wave_keys([Entry(number=0, user=USER, transition=untyped)] * 3, []) == {
        WaveKey(T, "fitbit", "unspecified"): 3
    }


def test_the_rule_of_a_poll_interval() -> None:
    """One alert waits a part of the shorter of both spans, and all of it where others come."""
    for within, interval, span in ((15, 60, 15), (60, 15, 15)):
        rule = incident_rule(min_users=7, min_share=0.1, within=within * MINUTE, interval=interval * MINUTE)
        assert (rule.min_users, rule.min_share, rule.within) == (7, 0.1, within * MINUTE)
        assert (rule.hold, rule.longest_hold) == (span * MINUTE / HOLD_PART, span * MINUTE)


def test_flapping_looks_at_twice_as_many_polls() -> None:
    """Whatever is configured, if that is less."""
    for within, wanted in ((1, 120), (300, 300)):
        rule = flapping_rule(transitions=3, within=within * MINUTE, interval=15 * MINUTE)
        assert rule == Flapping(transitions=3, within=wanted * MINUTE)


def test_what_is_usual_is_told_by_the_windows_before_this_one() -> None:
    """At least by one."""
    assert past_windows(RULE) == (USUAL_OVER - RULE.within) / RULE.within
    assert past_windows(replace(RULE, within=USUAL_OVER)) == 1


def test_the_fewest_that_are_worth_a_look() -> None:
    """As many as are suspicious, or as make an incident."""
    small = replace(RULE, min_users=2)
    assert worth_comparing(small, 2)
    assert not worth_comparing(small, 1)
    assert possible(RULE, Wave(connections=5))
    assert not possible(RULE, Wave(connections=4))


@pytest.mark.parametrize(("seconds", "shown"), [(59, "59 s"), (60, "1 min"), (61, "1.01667 min"), (900, "15 min")])
def test_how_long_nobody_joined_is_shown_as_people_say_it(seconds: int, shown: str) -> None:
    """Seconds below a minute."""
    rule = replace(RULE, within=timedelta(seconds=seconds))
    alert = next(iter(_opened_desk().open.values()))
    key = key_of(alert)
    step = incidents.opened(key, Wave(users=frozenset({UUID(int=1)}), connections=1), alert.severity, alert, [], NOON)
    over = incidents.lived(rule, step.incident, NOON + rule.within)
    assert over is not None
    assert over.reason == f"nobody joined for {shown}; 1 of its members are in error still"


def _opened_desk() -> Desk:
    desk = Desk(Policy())
    desk.meet([BROKE], LATER)
    return desk


# --- alerts ---


def test_the_provider_has_a_say_in_whether_an_alert_begins() -> None:
    """Also in whether its flapping is told."""
    muted = Policy(
        provider_severities={"fitbit": {ANY: Severity.NONE}}, flapping=Flapping(transitions=1, within=MINUTE)
    )
    assert unraised(muted, BROKE) is not None
    assert unraised(muted, OTHER_BROKE) is None
    assert unraised(muted, HEALED) == "not a fault"
    assert flapping.found(muted, [BROKE, HEALED]) == ()
    others = [OTHER_BROKE, replace(OTHER_BROKE, kind=Kind.RECOVERED, status="connected", previous_status="error")]
    assert flapping.found(muted, others) == others


def test_a_window_of_flapping_has_its_first_moment_in_it() -> None:
    """And says how long it is."""
    policy = Policy(flapping=Flapping(transitions=1, within=MINUTE))
    early = replace(BROKE, observed_at=HEALED.observed_at - MINUTE)
    assert flapping.found(policy, [early, HEALED]) == [early, HEALED]
    assert flapping.found(policy, [replace(early, observed_at=early.observed_at - MINUTE / 60), HEALED]) == ()
    assert (flapping.minutes(policy), flapping.minutes(Policy())) == (1, 0)


def test_the_address_of_runbooks_may_end_in_a_slash() -> None:
    """It is one slash then, and letters at its end are kept."""
    for base in ("https://wiki.example.com/X", "https://wiki.example.com/X/"):
        told = Telling(user_id=str, runbook_base_url=base).told({"provider": "fitbit", "error_type": "unknown"})
        assert told["runbook_url"] == "https://wiki.example.com/X/unknown.md"


FLAPPING = Policy(
    flapping=Flapping(transitions=1, within=60 * MINUTE),
    provider_severities={"fitbit": {"token_refresh_failed": Severity.CRITICAL}},
)


def unstable() -> tuple[Desk, Transition]:
    """Return a desk with an unstable connection in error, and the transition that made it so."""
    desk = Desk(FLAPPING)
    again = replace(BROKE, id=UUID(int=7), observed_at=LATER + 2 * MINUTE)
    for each in (BROKE, replace(HEALED, observed_at=LATER + MINUTE), again):
        desk.meet([each], each.observed_at)
    return desk, again


def test_an_unstable_connection_s_alert_is_one_of_its_own() -> None:
    """Not the one of the transition that it came of."""
    desk, _ = unstable()
    (found,) = desk.open.values()
    began = next(each for each in desk.decisions if each.alert.id == found.id)
    assert began.transition is not None
    assert found.id == uuid5(NAMESPACE, f"unstable|{began.transition.id}")
    assert (found.kind, found.severity) == (AlertKind.UNSTABLE, Severity.CRITICAL)


def test_an_unstable_connection_that_rests_in_error_is_an_alert_like_any_other() -> None:
    """As loud as its provider's are, firing at once, and nothing that time alone may move."""
    desk, again = unstable()
    (flapping_alert,) = desk.open.values()
    now = again.observed_at + 60 * MINUTE
    desk.meet([], now)
    (found,) = desk.open.values()
    assert found.id == uuid5(NAMESPACE, f"still|{flapping_alert.id}")
    assert (found.kind, found.severity, found.state) == (AlertKind.ERROR, Severity.CRITICAL, AlertState.FIRING)
    assert (found.due_at, found.fired_at) == (None, now)


def test_where_flapping_is_switched_off_an_unstable_alert_is_due_at_once() -> None:
    """It was begun by another policy."""
    desk, again = unstable()
    desk.policy = Policy()
    desk.meet([replace(again, id=UUID(int=8), observed_at=again.observed_at + MINUTE)], again.observed_at + MINUTE)
    (found,) = desk.open.values()
    assert found.kind is AlertKind.ERROR


def test_an_error_is_confirmed_by_when_it_was_seen_and_not_by_when_it_is_decided() -> None:
    """It healed before it had lasted, though that is looked at much later."""
    desk = Desk(Policy(confirm_for=30 * MINUTE))
    desk.meet([BROKE], LATER)
    desk.meet([replace(HEALED, observed_at=LATER + 10 * MINUTE)], LATER + 40 * MINUTE)
    assert [each.state for each in desk.decisions] == [AlertState.PENDING, AlertState.WITHDRAWN]


def test_a_line_tells_of_the_transition_and_not_of_the_decision() -> None:
    """Its status and time; and the incident that the alert belongs to."""
    desk = Desk(Policy())
    desk.meet([BROKE], LATER)
    healed = replace(HEALED, status="odd", observed_at=LATER + MINUTE)
    (over,) = desk.meet([healed], LATER + 5 * MINUTE)
    line = payload(replace(over, alert=replace(over.alert, incident_id=UUID(int=5), status="other")))
    assert (line["status"], line["observed_at"]) == ("odd", "2026-03-01T12:16:00Z")
    assert line["incident_id"] == str(UUID(int=5))
    left = payload(replace(over, transition=None))
    assert (left["status"], left["observed_at"], left["incident_id"]) == ("odd", "2026-03-01T12:20:00Z", None)


def test_an_unstable_connection_without_a_row_is_gone() -> None:
    """People are told so."""
    desk, _ = unstable()
    began = next(each for each in desk.decisions if each.alert.kind is AlertKind.UNSTABLE)
    assert summary(replace(began, alert=replace(began.alert, status=None))).endswith("it is gone now.")


def test_a_share_is_told_to_the_hundredth_of_a_percent() -> None:
    """More is noise."""
    alert = next(iter(_opened_desk().open.values()))
    wave = Wave(users=frozenset({UUID(int=1)}), connections=7)
    step = incidents.opened(key_of(alert), wave, alert.severity, alert, [], NOON)
    assert incident_payload(step)["share"] == 0.1429


def test_an_incident_that_ends_and_opens_anew_counts_as_one() -> None:
    """Both steps in one decision."""
    alert = next(iter(_opened_desk().open.values()))
    wave = Wave(users=frozenset({UUID(int=1)}), connections=1)
    step = incidents.opened(key_of(alert), wave, alert.severity, alert, [], NOON)
    over = incidents.lived(RULE, replace(step.incident, broken=0), LATER)
    assert over is not None
    assert +tally.of_incidents([over]) == Counter()
    assert set(tally.of_incidents([over, step]).values()) == {0}


def test_a_wave_began_with_the_first_of_its_members() -> None:
    """In whichever order they join."""
    alert = next(iter(_opened_desk().open.values()))
    wave = Wave().joined(alert).joined(replace(alert, began_at=NOON - MINUTE)).joined(alert)
    assert wave.since == NOON - MINUTE


def meeting(*met: Transition, removed: tuple[User, ...] = (), policy: Policy, now: datetime = LATER) -> list[Decision]:
    """Return what is decided on removed users and then on transitions, all in one docket."""
    entries = [Entry(number=0, user=each, transition=None) for each in removed]
    entries += [Entry(number=0, user=each.user, transition=each) for each in met]
    docket = Docket(entries=entries, standing=[], history={}, begun={}, waves={}, incidents=[])
    return list(evaluate(docket, policy, now).decisions)


def test_who_was_removed_does_not_end_the_docket() -> None:
    """What comes after it is decided as well."""
    assert [each.state for each in meeting(BROKE, removed=(USER,), policy=Policy())] == [
        AlertState.PENDING,
        AlertState.FIRING,
    ]


def test_transitions_of_one_docket_know_of_each_other() -> None:
    """Those of a connection make it unstable; those of its resources do not."""
    policy = Policy(flapping=Flapping(transitions=2, within=60 * MINUTE))
    again = replace(BROKE, id=UUID(int=7))
    assert AlertKind.UNSTABLE in {each.alert.kind for each in meeting(BROKE, HEALED, again, policy=policy)}
    lost = [replace(LOST, id=UUID(int=number)) for number in (8, 9)]
    assert AlertKind.UNSTABLE not in {each.alert.kind for each in meeting(*lost, BROKE, policy=policy)}


@pytest.mark.parametrize("late", [MINUTE, 60 * MINUTE])
def test_an_alert_of_which_nothing_is_known_of_others_fires(late: timedelta) -> None:
    """Nobody counted like ones, or it is too old to be part of a wave."""
    decisions = meeting(BROKE, policy=Policy(incident=RULE), now=LATER + late)
    assert [each.state for each in decisions] == [AlertState.PENDING, AlertState.FIRING]


def test_the_reason_says_how_long_an_error_has_lasted() -> None:
    """Where it had to be confirmed."""
    (_, fired) = meeting(BROKE, policy=Policy())
    assert fired.reason == "it is new"
    (_, fired) = meeting(BROKE, policy=Policy(confirm_for=30 * MINUTE), now=LATER + 31 * MINUTE)
    assert fired.reason == "it has lasted for 1800 s"


def test_a_member_of_an_incident_that_is_over_stays_its_member() -> None:
    """It is told as quietly as the others were."""
    alert = replace(meeting(BROKE, policy=Policy())[0].alert, incident_id=UUID(int=5))
    docket = Docket(entries=[], standing=[alert], history={}, begun={BROKE.id: BROKE}, waves={}, incidents=[])
    (fired,) = evaluate(docket, Policy(incident=RULE), LATER).decisions
    assert (fired.state, fired.alert.severity, fired.alert.incident_id) == (
        AlertState.FIRING,
        Severity.INFO,
        UUID(int=5),
    )


def crowd(count: int) -> list[Transition]:
    """Return the breaking of as many users' connections."""
    users = [User(target=T, user_id=UUID(int=number + 1)) for number in range(count)]
    return [replace(BROKE, id=UUID(int=number + 100), user_id=each.user_id) for number, each in enumerate(users)]


def test_a_window_has_its_last_moment_in_it() -> None:
    """Five that were confirmed just so long ago are a wave."""
    desk = Desk(Policy(incident=RULE))
    waves = {WaveKey(T, "fitbit", "token_refresh_failed"): Wave(connections=100)}
    desk.meet(crowd(5), LATER + RULE.within, waves=waves)
    assert [each.incident.users for each in desk.steps] == [5]


def test_nobody_waits_for_others_beyond_the_longest_hold() -> None:
    """Not even where some came."""
    rule = incident_rule(min_users=5, min_share=0.05, within=15 * MINUTE, interval=15 * MINUTE)
    desk = Desk(Policy(incident=rule))
    waves = {WaveKey(T, "fitbit", "token_refresh_failed"): Wave(connections=100)}
    assert not any(each.told for each in desk.meet(crowd(4), LATER, waves=waves))
    assert [each.state for each in desk.meet([], LATER + 15 * MINUTE, waves=waves)] == [AlertState.FIRING] * 4


# --- the poll ---


def test_a_first_404_does_not_hold_back_the_time_of_the_next_good_answer() -> None:
    """Where the clock stepped back in between; only that of one who was gone does."""
    known = judge.Known(state=state(connected()))
    held = claim(observed_at=NOON, missing_since=LATER + 60 * MINUTE)
    assert judge.seen(held, known, snapshot(broken()), b"new", CADENCE, LATER).observed_at == LATER


def test_every_verdict_is_about_its_claim() -> None:
    """Whatever came of the poll."""
    held, known = claim(), judge.Known(state=state(connected()))
    gone = claim(presence=Presence.GONE, missing_since=NOON)
    for verdict, wanted in (
        (judge.unchanged(held, CADENCE, LATER), held),
        (judge.seen(held, known, snapshot(broken()), b"new", CADENCE, LATER), held),
        (judge.unobserved(held, Outcome.TIMEOUT, CADENCE, LATER), held),
        (judge.missing(held, known, CADENCE, LATER), held),
        (judge.missing(gone, None, CADENCE, LATER), gone),
        (judge.invalid(held, "no", CADENCE, LATER), held),
    ):
        assert verdict.claim == wanted

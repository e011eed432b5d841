"""Many users that break in one way at about the same time are one incident: who is in it, and when people hear."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest

from monitor.core.incidents import WaveKey
from monitor.core.policy import IncidentRule, Severity
from monitor.core.tally import Count
from tests.store import contract_kept as kept
from tests.store.contract_stage import OTHER_TARGET, POLICY, TARGET, broken, connected

if TYPE_CHECKING:
    from monitor.core.incidents import Incident
    from monitor.core.model import Connection
    from tests.store.contract_stage import Stage

WITHIN: Final = timedelta(minutes=15)
RULE: Final = IncidentRule(min_users=3, min_share=0.1, within=WITHIN)
PATIENT: Final = replace(RULE, hold=timedelta(minutes=5), longest_hold=timedelta(minutes=10))
KEY: Final = WaveKey(TARGET, "fitbit", "token_refresh_failed")
USERS: Final = [UUID(int=number) for number in range(1, 25)]


@pytest.fixture
async def wave(stage: Stage) -> Stage:
    """Give 24 users that are well, and a policy by which three that break are an incident."""
    stage.policy = replace(POLICY, incident=RULE)
    await stage.register(*USERS)
    await see_all(stage, USERS, connected())
    return stage


async def see_all(stage: Stage, users: list[UUID], *rows: Connection) -> None:
    """Poll users in one commit."""
    verdicts = await stage.seen_together(*users, rows=rows)
    assert len(await stage.store.polls.commit(verdicts, now=stage.now)) == len(users)


async def break_(stage: Stage, users: list[UUID], error_type: str | None = KEY.error_type) -> None:
    """Let connections break at once, and decide on it."""
    await see_all(stage, users, broken(error_type=error_type))
    await stage.decide()


async def heal(stage: Stage, users: list[UUID]) -> None:
    """Let connections be well at once, and decide on it."""
    await see_all(stage, users, connected())
    await stage.decide()


async def one(stage: Stage) -> Incident:
    """Return the one incident that there ever was."""
    (found,) = await kept.incidents(stage.store)
    return found


async def news(stage: Stage) -> list[tuple[object, ...]]:
    """Return what people heard of incidents: state, users, those still broken, updates."""
    told = [dict(each.payload) for each in await stage.notices()]
    return [(each["state"], each["users"], each["broken"], each["updates"]) for each in told if "users" in each]


async def firing(stage: Stage) -> dict[str, int]:
    """Return how many alerts the counts say are firing, by severity."""
    found: Counter[str] = Counter()
    for key, amount in (await stage.counts()).items():
        found[key.b] += amount if key.count is Count.ALERTS else 0
    return dict(+found)


async def open_incidents(stage: Stage) -> int:
    """Return how many incidents the counts say are open."""
    return sum(amount for key, amount in (await stage.counts()).items() if key.count is Count.INCIDENTS)


async def test_fewer_than_the_threshold_are_alerts_of_their_own(wave: Stage) -> None:
    """Each as loud as ever."""
    await break_(wave, USERS[:2])
    assert await kept.incidents(wave.store) == []
    assert await firing(wave) == {"warning": 2}


async def test_the_threshold_opens_one_incident(wave: Stage) -> None:
    """A step louder than its members, which are told of without noise; it is told once, and first."""
    await break_(wave, USERS[:3])
    incident = await one(wave)
    assert (incident.key, incident.severity, incident.state) == (KEY, Severity.CRITICAL, "firing")
    assert (incident.users, incident.broken, incident.share) == (3, 3, 3 / 24)
    assert (incident.since, incident.opened_at) == (wave.now, wave.now)
    assert {each.incident_id for each in await wave.open_alerts()} == {incident.id}
    assert await firing(wave) == {"info": 3}
    assert await open_incidents(wave) == 1
    assert [each.payload.get("users") for each in await wave.notices()] == [3, None, None, None]


async def test_an_incident_is_told_to_each_sink(wave: Stage) -> None:
    """As its members are."""
    await see_all(wave, USERS[:3], broken())
    await wave.decide(sinks=["log", "pager"])
    assert await wave.store.outbox.undelivered() == {"log": 4, "pager": 4}


async def test_alerts_that_fired_before_become_members(wave: Stage) -> None:
    """They get quiet, and so do the counts; nobody is told of them again."""
    await break_(wave, USERS[:2])
    await break_(wave, USERS[2:3])
    incident = await one(wave)
    assert (incident.users, incident.broken) == (3, 3)
    assert incident.since == wave.now - timedelta(minutes=1)
    assert {(each.incident_id, each.severity) for each in await wave.open_alerts()} == {(incident.id, "info")}
    assert await firing(wave) == {"info": 3}
    assert len(await wave.notices()) == 4


async def test_an_alert_that_is_older_than_the_window_is_no_member(wave: Stage) -> None:
    """It stays as loud as it was."""
    await break_(wave, USERS[:1])
    wave.now += WITHIN - timedelta(minutes=1)
    await break_(wave, USERS[1:4])
    assert (await one(wave)).users == 3
    assert await firing(wave) == {"warning": 1, "info": 3}


async def test_alerts_that_are_held_join(wave: Stage) -> None:
    """They wait for no longer, and are told as members."""
    wave.policy = replace(POLICY, incident=PATIENT)
    await break_(wave, USERS[:2])
    assert {each.state for each in await wave.open_alerts()} == {"pending"}
    await break_(wave, USERS[2:3])
    await wave.decide()
    assert (await one(wave)).users == 3
    assert {(each.state, each.severity) for each in await wave.open_alerts()} == {("firing", "info")}
    assert len(await wave.notices()) == 4


async def test_an_alert_that_waited_for_nobody_fires_alone(wave: Stage) -> None:
    """As loud as without incidents."""
    wave.policy = replace(POLICY, incident=PATIENT)
    await break_(wave, USERS[:1])
    wave.later(minutes=5)
    await wave.decide()
    assert await firing(wave) == {"warning": 1}


async def test_who_breaks_later_joins_the_open_incident(wave: Stage) -> None:
    """Without another one; the docket knows its figures to the user."""
    await break_(wave, USERS[:3])
    await break_(wave, USERS[3:5])
    await heal(wave, USERS[:1])
    taken = await wave.docket()
    (incident,) = taken.docket.incidents
    assert (incident.users, incident.broken, incident.share) == (5, 4, 5 / 24)
    assert incident.joined_at == wave.now - timedelta(minutes=1)
    assert await firing(wave) == {"info": 4}


async def test_an_incident_is_told_again_at_each_doubling(wave: Stage) -> None:
    """Once for each: 3, then 6, then 12 users or more."""
    await break_(wave, USERS[:3])
    for upto in (5, 6, 11, 14):
        await break_(wave, USERS[upto - 1 : upto] if upto == 6 else USERS[3:upto])
        await wave.decide()
        await wave.decide()
    assert await news(wave) == [("firing", 3, 3, 0), ("firing", 6, 6, 1), ("firing", 14, 14, 2)]
    incident = await one(wave)
    assert (incident.users, incident.told_users, incident.updates, incident.broken) == (14, 14, 2, 14)


async def test_an_incident_is_over_when_all_of_its_members_are_well(wave: Stage) -> None:
    """Not before the last of them."""
    await break_(wave, USERS[:3])
    await break_(wave, USERS[3:4])
    await heal(wave, USERS[:3])
    await wave.decide()
    assert await open_incidents(wave) == 1
    await heal(wave, USERS[3:4])
    await wave.decide()
    incident = await one(wave)
    assert (incident.state, incident.resolved_at, incident.broken) == ("resolved", wave.now, 0)
    assert await news(wave) == [("firing", 3, 3, 0), ("resolved", 4, 0, 0)]
    assert (await open_incidents(wave), await firing(wave)) == (0, {})


async def test_an_incident_is_over_when_nobody_joined_for_its_window(wave: Stage) -> None:
    """Those that are in error still stay quiet members of it."""
    await break_(wave, USERS[:3])
    wave.now += WITHIN - timedelta(microseconds=1)
    await wave.decide()
    assert await open_incidents(wave) == 1
    wave.now += timedelta(microseconds=1)
    await wave.decide()
    assert await news(wave) == [("firing", 3, 3, 0), ("resolved", 3, 3, 0)]
    assert (await open_incidents(wave), await firing(wave)) == (0, {"info": 3})
    assert await wave.take_docket() is None


async def test_another_wave_is_another_incident(wave: Stage) -> None:
    """After the end of the first."""
    await break_(wave, USERS[:3])
    wave.now += WITHIN
    await wave.decide()
    await break_(wave, USERS[3:6])
    first, second = await kept.incidents(wave.store)
    assert (first.state, second.state, second.users) == ("resolved", "firing", 3)


async def test_users_that_break_in_other_ways_are_no_wave(wave: Stage) -> None:
    """By error, and by target; an error without a type is one way too."""
    await wave.register(USERS[4], target=OTHER_TARGET)
    await wave.see(USERS[4], connected(), target=OTHER_TARGET)
    await break_(wave, USERS[:2])
    await break_(wave, USERS[2:4], error_type=None)
    await wave.see(USERS[4], broken(), target=OTHER_TARGET)
    await wave.decide()
    assert await kept.incidents(wave.store) == []
    await break_(wave, USERS[5:6], error_type=None)
    assert (await one(wave)).key == KEY._replace(error_type="unspecified")
    assert await firing(wave) == {"warning": 3, "info": 3}


async def test_a_wave_of_few_among_many_is_no_incident(wave: Stage) -> None:
    """It takes a share of the provider's connections too."""
    wave.policy = replace(POLICY, incident=replace(RULE, min_share=0.25))
    await break_(wave, USERS[:5])
    assert await kept.incidents(wave.store) == []
    await break_(wave, USERS[5:6])
    assert (await one(wave)).share == 6 / 24


async def test_what_is_usual_is_no_incident(wave: Stage) -> None:
    """As many in such a time in the last days are what these users do."""
    quiet, wide = wave.policy, replace(POLICY, incident=replace(RULE, within=timedelta(days=3, hours=12)))
    wave.policy = POLICY
    await break_(wave, USERS[:3])
    await heal(wave, USERS[:3])
    wave.later(days=4)
    wave.policy = wide
    await break_(wave, USERS[3:6])
    assert await kept.incidents(wave.store) == []
    wave.policy = quiet
    await break_(wave, USERS[6:7])
    assert (await one(wave)).users == 4


async def test_what_was_an_incident_is_not_usual(wave: Stage) -> None:
    """A wave does not hide the next one."""
    wave.policy = replace(POLICY, incident=replace(RULE, within=timedelta(days=3, hours=12)))
    await break_(wave, USERS[:12])
    await heal(wave, USERS[:12])
    wave.later(days=4)
    await break_(wave, USERS[12:15])
    assert [each.users for each in await kept.incidents(wave.store)] == [12, 3]


async def test_an_erased_user_is_no_member_any_more(wave: Stage) -> None:
    """How many were hit stays; who is still broken is counted anew."""
    await break_(wave, USERS[:3])
    await wave.store.cohort.erase(TARGET, USERS[0], now=wave.now)
    (incident,) = (await wave.docket()).docket.incidents
    assert (incident.users, incident.broken) == (3, 2)
    assert await firing(wave) == {"info": 2}


async def test_incidents_that_are_switched_off_end(wave: Stage) -> None:
    """A person changed the configuration."""
    await break_(wave, USERS[:3])
    wave.policy = POLICY
    await wave.decide()
    assert (await one(wave)).state == "resolved"

"""Whatever configuration is accepted, evaluating and scheduling with it leaves the calendar nowhere."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.app.policy import alert_policy
from monitor.config import load
from monitor.config.duration import LONGEST, LONGEST_INTERVAL, shown
from monitor.core.cadence import next_due, stretched
from monitor.store.memory import MemoryStore
from tests.store.contract_stage import ANN, BOB, Stage, broken, connected

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import Config

USERS: Final = 10_000_000
"""More than anybody has."""


def durations(longest: timedelta) -> st.SearchStrategy[str]:
    """Draw a duration from a second up, the ends often."""
    seconds = st.integers(1, int(longest.total_seconds())) | st.sampled_from([1, int(longest.total_seconds())])
    return seconds.map(lambda drawn: shown(timedelta(seconds=drawn)))


LONG: Final = durations(LONGEST)
DOCUMENTS: Final = st.fixed_dictionaries(
    {
        "targets": st.floats(0.001, 1_000_000).map(
            lambda rate: {"acme": {"api_key": "sk_us_0123456789", "max_requests_per_second": rate}}
        ),
        "poll": st.fixed_dictionaries({"interval": durations(LONGEST_INTERVAL), "gone_interval": LONG}),
        "retention": st.fixed_dictionaries({"snapshots": LONG, "transitions": LONG}),
        "alerts": st.fixed_dictionaries(
            {
                "confirm_for": LONG,
                "confirm_for_error_types": st.fixed_dictionaries({}, optional={"token_refresh_failed": LONG}),
                "flapping": st.none()
                | st.fixed_dictionaries({"transitions": st.integers(1, 1000) | st.just(1000), "within": LONG}),
                "incident": st.none()
                | st.fixed_dictionaries({"min_users": st.sampled_from([2, 1_000_000_000]), "within": LONG}),
            }
        ),
    }
)
EVERYTHING_LONG: Final[dict[str, Any]] = {
    "targets": {"acme": {"api_key": "sk_us_0123456789", "max_requests_per_second": 0.001}},
    "poll": {"interval": shown(LONGEST_INTERVAL), "gone_interval": shown(LONGEST)},
    "retention": {"snapshots": shown(LONGEST), "transitions": shown(LONGEST)},
    "alerts": {
        "confirm_for": shown(LONGEST),
        "flapping": {"transitions": 1000, "within": shown(LONGEST)},
        "incident": {"min_users": 2, "within": shown(LONGEST)},
    },
}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DOCUMENTS)
@example(EVERYTHING_LONG)
def test_any_accepted_configuration_evaluates(tmp_path: Path, document: dict[str, Any]) -> None:
    """Now, and when everything that waits is due."""
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    asyncio.run(live(load(path, {})))


async def live(config: Config) -> None:
    """Let two connections break and recover, and decide after each; plan polls, and prune."""
    store = MemoryStore()
    stage = Stage(store, alert_policy(config))
    await stage.register(ANN, BOB)
    for rows in (connected(), broken(), connected(), broken()):
        for user in (ANN, BOB):
            await stage.see(user, rows)
        await stage.decide()
    stage.later(days=3651)
    await stage.decide()
    assert await stage.alerts()
    for target in config.require_targets().values():
        interval = stretched(config.poll.interval, USERS, target.max_requests_per_second)
        assert next_due(UUID(int=1), interval, stage.now) > stage.now
    for kept in (config.retention.snapshots, config.retention.transitions):
        assert await store.upkeep.prune_snapshots(stage.now - kept, limit=10) >= 0
    await store.views.freshness("acme", interval=config.poll.interval, now=stage.now)

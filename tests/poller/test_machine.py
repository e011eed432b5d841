from __future__ import annotations

import shutil
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from monitor.poller import poller
from monitor.store import open_store
from monitor.store.memory import MemoryStore
from tests.chaos.scale import scaled
from tests.poller.machine import Pollers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(600, 14_400))]


@pytest.fixture(autouse=True)
def _commits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for company: what is committed together is the machine's affair."""
    monkeypatch.setattr(poller, "COMMIT_EVERY", 0.001)


def lives(short: int, long: int) -> settings:
    """Return how many lives are tried; their speed is the machine's affair."""
    return settings(
        max_examples=scaled(short, long),
        stateful_step_count=scaled(20, 40),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_pollers_in_memory_find_what_the_model_finds() -> None:
    """The twin that ships with the package keeps the same promises."""

    class Life(Pollers):
        def __init__(self) -> None:
            store = MemoryStore()
            super().__init__(lambda: store)

    run_state_machine_as_test(Life, settings=lives(30, 1000))


def test_pollers_on_sqlite_find_what_the_model_finds(migrated_sqlite_file: Path, tmp_path: Path) -> None:
    """Whatever is answered when, and whatever dies, state, transitions and alerts are those of the model."""
    numbers = count()

    class Life(Pollers):
        def __init__(self) -> None:
            file = shutil.copy(migrated_sqlite_file, tmp_path / f"{next(numbers)}.db")
            super().__init__(lambda: open_store(f"sqlite:///{file}"))

    run_state_machine_as_test(Life, settings=lives(12, 500))


def test_pollers_on_postgresql_find_what_the_model_finds(postgres_server: Server, postgres_template: str) -> None:
    """The same on a server."""
    with ExitStack() as databases:

        class Life(Pollers):
            def __init__(self) -> None:
                databases.close()
                url = databases.enter_context(postgres_server.database(template=postgres_template))
                super().__init__(lambda: open_store(url))

        run_state_machine_as_test(Life, settings=lives(8, 500))

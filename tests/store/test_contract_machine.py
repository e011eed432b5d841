from __future__ import annotations

import shutil
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from monitor.store import open_store
from tests.chaos.scale import scaled
from tests.store.contract_machine import Twins

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Server

# A failure is made as short as it can be before it is shown.
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(scaled(600, 14_400))]


def lives(number: int, steps: int) -> settings:
    """Return how many lives of how many steps are tried; their speed is the machine's affair."""
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_sqlite_lives_like_its_twin_in_memory(migrated_sqlite_file: Path, tmp_path: Path) -> None:
    """Whatever is done to both, in whichever order, they show the same, restarts included."""
    numbers = count()

    class Life(Twins):
        def __init__(self) -> None:
            file = shutil.copy(migrated_sqlite_file, tmp_path / f"{next(numbers)}.db")
            super().__init__(lambda: open_store(f"sqlite:///{file}"))

    run_state_machine_as_test(Life, settings=lives(scaled(12, 1000), scaled(20, 40)))


def test_postgresql_lives_like_its_twin_in_memory(postgres_server: Server, postgres_template: str) -> None:
    """The same on a server, for a shorter while."""
    with ExitStack() as databases:

        class Life(Twins):
            def __init__(self) -> None:
                databases.close()
                url = databases.enter_context(postgres_server.database(template=postgres_template))
                super().__init__(lambda: open_store(url))

        run_state_machine_as_test(Life, settings=lives(scaled(5, 500), scaled(15, 40)))

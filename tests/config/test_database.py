"""The database's address."""

from __future__ import annotations

import pytest

from monitor.config import Database
from monitor.config.address import masked


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:///monitor.db", "sqlite:///monitor.db"),
        ("sqlite:////var/lib/monitor/m@n.db", "sqlite:////var/lib/monitor/m@n.db"),
        ("postgresql://db/monitor", "postgresql://db/monitor"),
        ("postgres://monitor:pw@db:5432/monitor", "postgresql://monitor:pw@db:5432/monitor"),
        ("postgresql:///monitor?host=/run/postgresql", "postgresql:///monitor?host=/run/postgresql"),
    ],
)
def test_sqlite_and_postgresql_are_taken(url: str, kept: str) -> None:
    """The driver is the program's business; postgres:// is another word for the same."""
    assert Database(url=url).url == kept


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///monitor.db", "sqlite:///monitor.db"),
        ("postgresql:///monitor", "postgresql:///monitor"),
        ("postgresql://monitor@db/monitor", "postgresql://monitor@db/monitor"),
        ("postgresql://monitor:pw@db:5/monitor?a=1", "postgresql://monitor:**********@db:5/monitor?a=1"),
        ("postgresql://db/monitor?password=pw&host=/run", "postgresql://db/monitor?password=**********&host=/run"),
    ],
)
def test_a_password_is_masked_and_the_rest_stays(url: str, shown: str) -> None:
    """Enough to see which database it is."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("url", "stated", "migrates"),
    [
        ("sqlite:///monitor.db", None, True),
        ("postgresql:///monitor", None, False),
        ("sqlite:///monitor.db", False, False),
        ("postgresql:///monitor", True, True),
    ],
)
def test_the_schema_is_brought_up_to_date_by_itself_on_sqlite_alone(
    url: str, *, stated: bool | None, migrates: bool
) -> None:
    """Unless something else is stated."""
    assert Database(url=url, auto_migrate=stated).migrates is migrates

"""The database's address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from monitor.config import Database, load, show
from monitor.config.address import masked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:///monitor.db", "sqlite:///monitor.db"),
        ("sqlite:////var/lib/monitor/m@n.db", "sqlite:////var/lib/monitor/m@n.db"),
        ("postgresql://db/monitor", "postgresql://db/monitor"),
        ("postgres://monitor:pw@db:5432/monitor", "postgresql://monitor:pw@db:5432/monitor"),
        ("postgresql:///monitor?host=/run/postgresql", "postgresql:///monitor?host=/run/postgresql"),
        ("postgres://u:p%2C@h1:1,h2:2/db?sslmode=require", "postgresql://u:p%2C@h1:1,h2:2/db?sslmode=require"),
        ("postgresql://h1,[::1]:2,10.0.0.1/db", "postgresql://h1,[::1]:2,10.0.0.1/db"),
        ("postgresql:///db?host=h1,h2&port=1,2", "postgresql:///db?host=h1,h2&port=1,2"),
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
        ("postgresql://me:pw@h1:1,[::1]:2/db?a=1", "postgresql://me:**********@h1:1,[::1]:2/db?a=1"),
        ("postgresql://h1:1,h2:2/db?password=pw", "postgresql://h1:1,h2:2/db?password=**********"),
        ("postgresql://db/monitor?password=pw&host=/run", "postgresql://db/monitor?password=**********&host=/run"),
    ],
)
def test_a_password_is_masked_and_the_rest_stays(url: str, shown: str) -> None:
    """Enough to see which database it is."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://h1:1,h2:0/db", "several hosts as HOST1:PORT1,HOST2:PORT2"),
        ("postgresql://h1:1,h2:65536/db", "several hosts as HOST1:PORT1,HOST2:PORT2"),
        ("postgresql://h1:1,,h3:2/db", "several hosts as HOST1:PORT1,HOST2:PORT2"),
        ("postgresql://h1,h2:x/db", "several hosts as HOST1:PORT1,HOST2:PORT2"),
        ("postgresql://h1:1,h2:2/db?port=3", "hosts and ports in one place"),
        ("postgresql://h1,h2/db?host=h3", "hosts and ports in one place"),
    ],
)
def test_several_hosts_that_cannot_work_are_refused_with_what_is_expected(url: str, told: str) -> None:
    """Nothing of the address is repeated."""
    with pytest.raises(ValidationError, match=told) as refused:
        Database(url=url)
    assert "h1" not in str(refused.value.errors()[0]["msg"])


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


def test_an_address_in_a_file_stays_out_of_what_is_shown(tmp_path: Path) -> None:
    """Where it comes from is no secret; the password in it is."""
    file = tmp_path / "database-url"
    file.write_text("postgres://monitor:correct-horse@db/monitor\n", encoding="utf-8")
    config = load(None, {"MONITOR_DATABASE__URL_FILE": str(file)})
    assert config.database.address == "postgresql://monitor:correct-horse@db/monitor"
    assert not config.database.migrates
    file.write_text("postgresql://elsewhere/monitor\n", encoding="utf-8")
    assert "@db/" in config.database.address
    assert f"url_file: {file}" in show(config)
    assert "correct-horse" not in show(config) + repr(config)

"""A password file that libpq would pass over without a word, or with one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.errors import StoreUnavailable
from monitor.store import Schema, open_store

if TYPE_CHECKING:
    from pathlib import Path

NOBODY_LISTENS = "postgresql://monitor@127.0.0.1:1/monitor"


@pytest.fixture(params=["missing", "a directory", "lax"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """Give each kind of file that is not used, and what is said of it."""
    lax = tmp_path / "lax"
    lax.write_text("*:*:*:*:hunter2\n")
    lax.chmod(0o640)
    kinds = {
        "missing": (tmp_path / "missing", "there is no such file"),
        "a directory": (tmp_path, "it is not a plain file"),
        "lax": (lax, "others may use it, and so it is not used; chmod 600 helps"),
    }
    return kinds[request.param]


def test_migrations_name_the_file(unusable: tuple[Path, str]) -> None:
    """Before anything is sent."""
    file, fault = unusable
    with pytest.raises(StoreUnavailable) as error:
        Schema(f"{NOBODY_LISTENS}?passfile={file}").current()
    assert str(error.value) == f"password file {file}: {fault}"


async def test_the_store_names_the_file(unusable: tuple[Path, str]) -> None:
    """The daemon looks anew with each connection, as it reads the file anew."""
    file, fault = unusable
    store = open_store(f"{NOBODY_LISTENS}?passfile={file}")
    with pytest.raises(StoreUnavailable) as error:
        await store.views.ping()
    assert str(error.value) == f"password file {file}: {fault}"
    await store.aclose()


def test_a_good_file_is_left_to_libpq(tmp_path: Path) -> None:
    """Then it is the server that does not answer."""
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    with pytest.raises(StoreUnavailable, match="port 1 failed"):
        Schema(f"{NOBODY_LISTENS}?passfile={file}").current()


def test_a_file_beside_a_password_is_not_looked_at(tmp_path: Path) -> None:
    """The password in the address goes first."""
    address = NOBODY_LISTENS.replace("monitor@", "monitor:hunter2@")
    with pytest.raises(StoreUnavailable, match="port 1 failed"):
        Schema(f"{address}?passfile={tmp_path / 'missing'}").current()

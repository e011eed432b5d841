"""Several hosts of PostgreSQL in one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url

from monitor.store import Schema, open_store
from monitor.store.engine import parsed
from tests.postgres import free_port

if TYPE_CHECKING:
    from sqlalchemy import URL


def with_a_dead_host_first(url: str) -> str:
    """Return the address of a database with a host before its own that nobody listens at."""
    made: URL = make_url(url)
    return f"postgresql://{made.username}@127.0.0.1:{free_port()},{made.host}:{made.port}/{made.database}"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u@h1:1,h2:2/db", "h1,h2", "1,2"),
        ("postgres://h1,[::1]:2,10.0.0.1/db", "h1,::1,10.0.0.1", ",2,"),
        ("postgresql://u:p%2Cq%40@h1,h2/db", "h1,h2", ","),
    ],
)
def test_hosts_and_ports_are_told_as_libpq_takes_them(url: str, host: str, port: str) -> None:
    """A port that is left out is libpq's default."""
    made = parsed(url)
    assert (made.query["host"], made.query["port"], made.host, made.database) == (host, port, None, "db")


def test_a_comma_elsewhere_is_no_second_host() -> None:
    """A password and a query may hold one."""
    made = parsed("postgresql://u:p,q@h1:1/db?options=a,b")
    assert (made.host, made.port, made.password) == ("h1", 1, "p,q")


async def test_the_next_host_is_tried_where_one_does_not_answer(postgres_url: str) -> None:
    """By migrations and by questions."""
    url = with_a_dead_host_first(postgres_url)
    schema = Schema(url)
    schema.upgrade()
    assert schema.current() == schema.head
    store = open_store(url)
    await store.views.ping()
    await store.aclose()

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import psycopg
import pytest

from deploy.generate import files
from tests.deploy.boards import GRAFANA, NAMES, Panel, asked, board, every
from tests.deploy.scene import Scene, played
from tests.test_readme import README, exported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Server

METRIC: Final = re.compile(r"\b(?:junction|process)_[a-z_]+\b")
LABELS: Final = {"junction_users", "job"}
PLENTY: Final = 45.0
"""Seconds after which everything has happened that a panel shows."""
each_panel = pytest.mark.parametrize("panel", every(sql=False), ids=lambda each: f"{each.board}: {each.title}")
each_sql = pytest.mark.parametrize("panel", every(sql=True), ids=lambda each: each.title)


def test_the_committed_dashboards_are_those_that_are_built() -> None:
    """Byte for byte, and no others."""
    made = dict(files.boards())
    assert {path.stem for path in made} == set(NAMES) == {path.stem for path in GRAFANA.glob("*.json")}
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "run `make generate`"


@pytest.mark.parametrize("panel", every(sql=False) + every(sql=True), ids=lambda each: f"{each.board}: {each.title}")
def test_every_panel_says_what_it_shows(panel: Panel) -> None:
    """A title, a unit, a sentence, a data source that can be chosen."""
    assert panel.title
    assert panel.unit
    assert panel.model["description"].endswith(".")
    assert panel.model["datasource"]["uid"] in {"${prometheus}", "${postgresql}"}
    assert panel.queries


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap_and_fill_their_rows(name: str) -> None:
    """On Grafana's grid of 24 columns every row is full."""
    taken: set[tuple[int, int]] = set()
    for each in board(name)["panels"]:
        at = each["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, each["title"]
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken))


@each_panel
def test_every_expression_parses_and_asks_for_what_is_exported(panel: Panel) -> None:
    """By the grammar of Prometheus, and by the names of this program."""
    known = exported() | {f"{name}_{part}" for name in exported() for part in ("bucket", "count")}
    for expr in panel.queries.values():
        promql_parser.parse(asked(expr))
        assert set(METRIC.findall(expr)) - LABELS <= known - LABELS
        assert "user_id" not in expr


def test_every_board_asks_the_same_of_all_replicas_and_namespaces() -> None:
    """What is the same on every replica is taken once: a sum without a max would count it twice."""
    for panel in every(sql=False):
        for expr in panel.queries.values():
            assert 'job="junction-monitor", namespace=~"$namespace"' in expr
            for metric in ("junction_connections{", "junction_users{", "junction_alerts{", "junction_incidents{"):
                for before in expr.split(metric)[:-1]:
                    assert re.search(r"max by \([a-z_, ]+\) \($", before), expr


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Scene]:
    """Play it once for all panels."""
    with postgres_server.database() as url, played(tmp_path_factory.mktemp("scene"), url, PLENTY) as made:
        yield made


@pytest.mark.tools
@pytest.mark.timeout(240)
@each_panel
def test_every_expression_yields_data(panel: Panel, scene: Scene) -> None:
    """Asked of a real Prometheus that has scraped real daemons."""
    for legend, expr in panel.queries.items():
        instant = panel.model["targets"][0].get("instant")
        found = scene.now(asked(expr)) if instant else scene.over_time(asked(expr))
        values = [float(value) for each in found for _, value in ([each["value"]] if instant else each["values"])]
        assert [each for each in values if math.isfinite(each)], expr
        for label in re.findall(r"{{(\w+)}}", legend):
            assert all(each["metric"].get(label) for each in found), f"{legend}: {expr}"


@pytest.mark.tools
@pytest.mark.timeout(240)
@each_sql
def test_every_query_of_users_yields_rows(panel: Panel, scene: Scene) -> None:
    """Of a user that has a past, on the PostgreSQL that the daemons write, with what the README grants and no more."""
    with psycopg.connect(scene.database) as connection:
        user = user_with_a_past(connection)
        (granted,) = re.findall(r"^GRANT SELECT ON .*;$", README, re.MULTILINE)
        connection.execute(f"CREATE ROLE grafana; {granted} SET ROLE grafana")
        for sql in panel.queries.values():
            rows = connection.execute(told(sql, user)).fetchall()
            assert rows, sql
        connection.rollback()


@pytest.mark.tools
def test_the_queries_of_users_survive_what_people_type(scene: Scene) -> None:
    """A quote in the box is text."""
    with psycopg.connect(scene.database) as connection:
        for panel in every(sql=True):
            for sql in panel.queries.values():
                connection.execute(told(sql, "O'Brien"))


def told(sql: str, user: str) -> str:
    """Return SQL as Grafana sends it: variables and macros filled in, of the last hour."""
    quoted = user.replace("'", "''")
    since, until = "now() - interval '1 hour'", "now()"
    filled = sql.replace("${user_id:sqlstring}", f"'{quoted}'").replace("IN ($target)", "IN ('sim')")
    filled = filled.replace("IN ($provider)", "IN (SELECT provider FROM connections)")
    filled = re.sub(r"\$__timeFilter\((.*?)\)", rf"\1 BETWEEN {since} AND {until}", filled)
    return filled.replace("$__timeFrom()", f"({since})").replace("$__timeTo()", until)


def user_with_a_past(connection: psycopg.Connection[Any]) -> str:
    """Return the user of whom most is to be told."""
    busiest = """
        SELECT u.user_id::text FROM users u JOIN alerts a ON a.member = u.id JOIN transitions t ON t.member = u.id
        GROUP BY u.user_id ORDER BY count(*) DESC LIMIT 1"""
    row = connection.execute(busiest).fetchone()
    assert row is not None
    user: str = row[0]
    return user

"""A dashboard before it has panels: its variables, links and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from deploy.generate.dashboards.panels import PROMETHEUS, RED
from deploy.generate.dashboards.queries import JOB, SCOPE, WHERE, top

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deploy.generate.dashboards.panels import Panel

TAG: Final = "junction"


def started(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return an empty dashboard that links to the others."""
    board = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).refresh("1m").timezone("browser")
    board = board.time("now-24h", "now").tooltip(models.DashboardCursorSync.CROSSHAIR).editable()
    link = dashboard.DashboardLink("Junction").type(models.DashboardLinkType.DASHBOARDS).icon("dashboard")
    return board.link(link.tags([TAG]).as_dropdown(False).include_vars(True).keep_time(True))


def scoped(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Add the choice of Prometheus, namespace and target."""
    board = board.with_variable(source("prometheus", "Prometheus", "prometheus"))
    board = board.with_variable(choice("namespace", "Namespace", f"label_values(junction_users{{{JOB}}}, namespace)"))
    return board.with_variable(choice("target", "Target", f"label_values(junction_users{{{WHERE}}}, target)"))


def filled(board: dashboard.Dashboard, rows: Mapping[str, Iterable[Panel]]) -> dashboard.Dashboard:
    """Put panels under the titles of their rows, from top left to bottom right."""
    for title, panels in rows.items():
        board = board.with_row(dashboard.Row(title))
        for each in panels:
            board = board.with_panel(each)
    return board


def choice(
    name: str, label: str, query: str, *, asked: models.DataSourceRef = PROMETHEUS, everything: str | None = ".*"
) -> dashboard.QueryVariable:
    """Return a variable with the values that a query yields, all of them at first: ``everything``, or one by one."""
    made = dashboard.QueryVariable(name).label(label).datasource(asked).query(query).multi(True).include_all(True)
    made = made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    return made if everything is None else made.all_value(everything)


def source(name: str, label: str, kind: str) -> dashboard.DatasourceVariable:
    """Return the choice of a data source of one kind."""
    return dashboard.DatasourceVariable(name).label(label).type(kind)


class Incidents(models.AnnotationQuery, Builder[models.AnnotationQuery]):
    """Marks where incidents are open: with the words that the library has no names for, and its own builder."""

    def __init__(self, scope: str = SCOPE) -> None:
        expr = top("junction_incidents", "provider, error_type", scope) + " > 0"
        super().__init__(name="Incidents", datasource=PROMETHEUS, icon_color=RED, expr=expr)

    def build(self) -> models.AnnotationQuery:
        """Return itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return it with its words."""
        words = {"titleFormat": "{{provider}}: {{error_type}}", "textFormat": "an incident is open at {{target}}"}
        return super().to_json() | words | {"step": "60s"}

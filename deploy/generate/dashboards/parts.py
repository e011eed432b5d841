"""What the dashboards are put together from: variables, queries, panels. Every panel has a title, a unit and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOB: Final = 'job="junction-monitor"'
WHERE: Final = f'{JOB}, namespace=~"$namespace"'
SCOPE: Final = f'{WHERE}, target=~"$target"'
"""Which series a panel reads. Outside Kubernetes there is no namespace, which `.*` matches as well."""
BY: Final = "namespace, job, target"
PROMETHEUS: Final = models.DataSourceRef(type_val="prometheus", uid="${prometheus}")
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "gray"
TAG: Final = "junction"
Panel = Any
"""A builder of a panel: the kinds of panels share no class."""


def top(metric: str, labels: str = "", scope: str = SCOPE) -> str:
    """Return a domain series once, however many replicas export it; ``labels`` are kept beside those of the target."""
    kept = ", ".join(each for each in (BY, labels) if each)
    return f"max by ({kept}) ({metric}{{{scope}}})"


ACTIVE: Final = top("junction_users", scope=f'{SCOPE}, state="active"')
ERRORS: Final = top("junction_connection_errors", "provider, error_type")
CONNECTIONS: Final = top("junction_connections", "provider, status")


def grown(counter: str, labels: str, scope: str = SCOPE) -> str:
    """Return by how much a domain counter grew in a step, once for all replicas."""
    return f"max by ({BY}, {labels}) (increase({counter}{{{scope}}}[$__rate_interval]))"


def rate(counter: str, labels: str, scope: str = SCOPE) -> str:
    """Return how fast a counter of the processes grows a second, all of them together."""
    return f"sum by ({labels}) (rate({counter}{{{scope}}}[$__rate_interval]))"


def quantile(q: float, histogram: str, window: str, scope: str = SCOPE) -> str:
    """Return a quantile of what all processes measured within a window."""
    return f"histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{{{scope}}}[{window}])))"


def ask(expr: str, legend: str = "", ref: str = "A", *, now: bool = False, rows: bool = False) -> prometheus.Dataquery:
    """Return a query: over time, or of ``now``, and then perhaps as the rows of a table."""
    query = prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id(ref)
    query = query.legend_format(legend or "__auto")
    if rows:
        query = query.format(PromQueryFormat.TABLE)
    return query.instant() if now else query.range()


def steps(*limits: tuple[float, str], base: str = GREEN) -> dashboard.ThresholdsConfig:
    """Return colours by value: ``base`` below the first limit."""
    found = [models.Threshold(value=None, color=base), *(models.Threshold(value=at, color=to) for at, to in limits)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _worded(panel: Panel, title: str, unit: str, description: str, width: int, height: int) -> Panel:
    panel = panel.title(title).unit(unit).description(description).span(width).height(height)
    return panel.datasource(PROMETHEUS)


def number(
    title: str, unit: str, description: str, expr: str, *, limits: dashboard.ThresholdsConfig, width: int = 4
) -> Panel:
    """Return one number with its recent past behind it."""
    panel = _worded(stat.Panel(), title, unit, description, width, 4)
    return (
        panel.with_target(ask(expr))
        .thresholds(limits)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .color_mode(kinds.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .no_value("none")
    )


def lines(
    title: str,
    unit: str,
    description: str,
    queries: Mapping[str, str],
    *,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
    least: float | None = 0,
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """Return series over time; ``queries`` are expressions by legend."""
    panel = _worded(timeseries.Panel(), title, unit, description, width, height)
    for ref, (legend, expr) in zip("ABCDEF", queries.items(), strict=False):
        panel = panel.with_target(ask(expr, legend, ref))
    panel = (
        panel.fill_opacity(70 if bars else 25 if stacked else 8).line_width(1).show_points(kinds.VisibilityMode.NEVER)
    )
    panel = panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(kinds.LegendDisplayMode.TABLE)
        .placement(kinds.LegendPlacement.RIGHT)
        .calcs(["lastNotNull", "max"])
    ).tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    if stacked or bars:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if bars:
        panel = panel.draw_style(kinds.GraphDrawStyle.BARS)
    if least is not None:
        panel = panel.min(least)
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [models.DynamicConfigValue("color", _fixed(colour))])
    return panel


def bars(
    title: str,
    unit: str,
    description: str,
    expr: str,
    legend: str,
    *,
    limits: dashboard.ThresholdsConfig,
    width: int = 8,
    height: int = 8,
    most: float | None = None,
) -> Panel:
    """Return a bar for each series, as it is now."""
    panel = _worded(bargauge.Panel(), title, unit, description, width, height).with_target(ask(expr, legend, now=True))
    panel = panel.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    panel = panel.min(0).thresholds(limits)
    return panel if most is None else panel.max(most)


def rows(
    title: str, unit: str, description: str, expr: str, columns: Sequence[str], *, width: int = 12, height: int = 8
) -> Panel:
    """Return a table, largest value first: ``columns`` are the labels to show, then the value."""
    panel = _worded(table.Panel(), title, unit, description, width, height)
    panel = panel.with_target(ask(expr, now=True, rows=True)).filterable(True)
    order = {name: place for place, name in enumerate([*columns, "Value"])}
    tidied = {
        "excludeByName": {"Time": True, "namespace": "namespace" not in columns, "job": True},
        "indexByName": order,
        "renameByName": {"error_type": "error type", "Value": "now"},
    }
    panel = panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=tidied))
    return panel.sort_by([common.TableSortByFieldState().display_name("now").desc(True)])


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


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable with the values of a label, all of them at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


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


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}

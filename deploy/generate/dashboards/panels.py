"""The panels: each has a title, a unit and words, and is asked of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROMETHEUS: Final = models.DataSourceRef(type_val="prometheus", uid="${prometheus}")
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "gray"
Panel = Any
"""A builder of a panel: the kinds of panels share no class."""


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


def _worded(panel: Panel, title: str, unit: str, description: str, width: int, height: int = 8) -> Panel:
    panel = panel.title(title).unit(unit).description(description).span(width).height(height)
    return panel.datasource(PROMETHEUS)


def number(title: str, unit: str, description: str, expr: str, *, limits: dashboard.ThresholdsConfig) -> Panel:
    """Return one number with its recent past behind it."""
    panel = _worded(stat.Panel(), title, unit, description, 4, height=4)
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
    stacked: bool = False,
    bars: bool = False,
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """Return series over time; ``queries`` are expressions by legend."""
    panel = _worded(timeseries.Panel(), title, unit, description, width)
    for ref, (legend, expr) in zip("ABCDEF", queries.items(), strict=False):
        panel = panel.with_target(ask(expr, legend, ref))
    panel = (
        panel.fill_opacity(70 if bars else 25 if stacked else 8)
        .line_width(1)
        .min(0)
        .show_points(kinds.VisibilityMode.NEVER)
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
) -> Panel:
    """Return a bar for each series, as it is now."""
    panel = _worded(bargauge.Panel(), title, unit, description, 8).with_target(ask(expr, legend, now=True))
    panel = panel.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return panel.min(0).thresholds(limits)


def rows(title: str, unit: str, description: str, expr: str, columns: Sequence[str], *, width: int) -> Panel:
    """Return a table, largest value first: ``columns`` are the labels to show, then the value."""
    panel = _worded(table.Panel(), title, unit, description, width)
    panel = panel.with_target(ask(expr, now=True, rows=True)).filterable(True)
    order = {name: place for place, name in enumerate([*columns, "Value"])}
    tidied = {
        "excludeByName": {"Time": True, "namespace": "namespace" not in columns, "job": True},
        "indexByName": order,
        "renameByName": {"error_type": "error type", "Value": "now"},
    }
    panel = panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=tidied))
    return panel.sort_by([common.TableSortByFieldState().display_name("now").desc(True)])


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}

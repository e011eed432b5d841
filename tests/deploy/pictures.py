"""Pictures of the dashboards, for people who have no Grafana at hand: ``make pictures``.

The panels, their places, queries and data are those of the dashboards; the drawing is Matplotlib's and not Grafana's.
"""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import psycopg
from matplotlib import pyplot as plt

from tests import postgres
from tests.deploy.boards import ALL, GRAFANA, NAMES, Panel, asked, board, panels
from tests.deploy.scene import WORLD, Scene, played
from tests.deploy.test_dashboards import told, user_with_a_past

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

SECONDS: Final = 200
CALM: Final = WORLD | {
    "users": 400,
    "changes": {"per_second": 0.6, "from": 5, "until": 170, "rest": 20},
    "timeline": [
        {"at": 0, "do": "fault", "fault": "latency", "delay": "60ms"},
        {"at": 0, "do": "fault", "fault": "malformed_row", "share": 0.01},
        {"at": 70, "do": "fault", "fault": "throttle_bare", "for": "4s"},
        {"at": 100, "do": "wave", "provider": "fitbit", "error_type": "token_refresh_failed", "share": 0.5},
    ],
}
CHOSEN: Final = {"provider": ALL | {"$provider": "fitbit"}}
INK, FAINT, GROUND, SHEET = "#d8d9da", "#8e8e8e", "#111217", "#181b1f"
COLOURS: Final = {"green": "#73bf69", "yellow": "#fade2a", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"} | {
    "gray": "#8e8e8e"
}
CYCLE: Final = ["#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c8f2c2", "#ffcb7d"]
WIDE, HIGH = 0.72, 0.36
"""Inches of a cell of the grid."""
MARGINS: Final[dict[str, tuple[float, float]]] = {
    "stat": (0, 0),
    "timeseries": (1, 2.8),
    "bargauge": (0.2, 0.2),
    "table": (0.2, 0.2),
    "state-timeline": (2, 0.3),
}
"""Cells of the grid left free before and after what is drawn."""
Series = tuple[str, list[tuple[float, float]]]


def main() -> None:
    """Play a scene of some minutes and draw every dashboard beside its JSON."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "font.family": "DejaVu Sans"})
    mpl.rcParams.update({"xtick.color": FAINT, "ytick.color": FAINT, "axes.edgecolor": "#2c3235"})
    with (
        tempfile.TemporaryDirectory() as place,
        postgres.server() as server,
        server.database() as url,
        played(Path(place), url, SECONDS, CALM) as scene,
    ):
        for name in NAMES:
            draw(name, scene)


def draw(name: str, scene: Scene) -> None:
    """Draw one dashboard into ``deploy/grafana/NAME.png``."""
    found = list(panels(name))
    deep = max(each.model["gridPos"]["y"] + each.model["gridPos"]["h"] for each in found)
    figure = plt.figure(figsize=(24 * WIDE, deep * HIGH), facecolor=GROUND)
    for row in (each for each in board(name)["panels"] if each["type"] == "row"):
        figure.text(
            0.004, 1 - (row["gridPos"]["y"] + 0.75) / deep, row["title"].replace(" $user_id", " …"), fontsize=11
        )
    for panel in found:
        at = panel.model["gridPos"]
        left, bottom = at["x"] / 24, 1 - (at["y"] + at["h"]) / deep
        sheet = figure.add_axes(
            (left + 0.002, bottom + 0.06 / deep, at["w"] / 24 - 0.004, at["h"] / deep - 0.12 / deep)
        )
        sheet.set(facecolor=SHEET, xticks=[], yticks=[])
        sheet.set_title(panel.title, loc="left", fontsize=10, color=INK, y=1 - 0.62 / at["h"], x=0.1 / at["w"], pad=0)
        before, after = MARGINS[panel.kind]
        head, foot = 1.1 / at["h"], 0.75 / at["h"]
        box = (before / at["w"], foot, 1 - (before + after) / at["w"], 1 - head - foot)
        DRAWN[panel.kind](sheet.inset_axes(box), panel, scene)
    figure.savefig(GRAFANA / f"{name}.png", dpi=80, facecolor=GROUND)
    plt.close(figure)


def _series(panel: Panel, scene: Scene, *, now: bool = False) -> list[Series]:
    found: list[Series] = []
    for legend, expr in panel.queries.items():
        wanted = asked(expr, CHOSEN.get(panel.board, ALL))
        for each in scene.now(wanted) if now else scene.over_time(wanted):
            points = [each["value"]] if now else each["values"]
            name = legend
            for label, value in each["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            found.append((name, [(float(at), float(value)) for at, value in points]))
    return found


def _stat(axes: Axes, panel: Panel, scene: Scene) -> None:
    series = _series(panel, scene)
    points = [(at, value) for at, value in (series[0][1] if series else []) if math.isfinite(value)]
    axes.axis("off")
    if not points:
        axes.text(0.5, 0.5, "none", ha="center", va="center", fontsize=22, color=FAINT)
        return
    last = points[-1][1]
    colour = _colour_of(last, panel)
    axes.fill_between([at for at, _ in points], [value for _, value in points], color=colour, alpha=0.15, lw=0)
    axes.margins(0)
    axes.set_ylim(bottom=0, top=2.6 * max(1e-9, *(value for _, value in points)))
    axes.text(
        0.5, 0.55, said(last, panel.unit), transform=axes.transAxes, ha="center", va="center", fontsize=24, color=colour
    )


def _lines(axes: Axes, panel: Panel, scene: Scene) -> None:
    custom = panel.model["fieldConfig"]["defaults"]["custom"]
    stacked, bars = "stacking" in custom, custom.get("drawStyle") == "bars"
    fixed = {
        each["matcher"]["options"]: COLOURS[each["properties"][0]["value"]["fixedColor"]]
        for each in panel.model["fieldConfig"].get("overrides", [])
    }
    base: dict[int, float] = {}
    for number, (name, points) in enumerate(sorted(_series(panel, scene))):
        colour = fixed.get(name, CYCLE[number % len(CYCLE)])
        seconds = [(round(at - scene.since), value) for at, value in points if math.isfinite(value)]
        kept = [(at, value) for at, value in seconds if not bars or at % 15 == 0]
        low = [base.get(at, 0) if stacked or bars else 0 for at, _ in kept]
        high = [lower + value for (_, value), lower in zip(kept, low, strict=True)]
        minutes = [at / 60 for at, _ in kept]
        if bars:
            axes.bar(minutes, [value for _, value in kept], bottom=low, width=0.2, color=colour, label=name[:26])
        else:
            axes.plot(minutes, high, color=colour, lw=1.2, label=name[:26])
            axes.fill_between(minutes, low, high, color=colour, alpha=0.25 if stacked else 0.06, lw=0)
        base |= {at: top for (at, _), top in zip(kept, high, strict=True)}
    axes.set_facecolor(SHEET)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color="#23262b", lw=0.6)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, SECONDS / 60)
    axes.yaxis.set_major_formatter(lambda value, _: said(value, panel.unit))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} min")
    shown = {"fontsize": 7.5, "frameon": False, "labelcolor": INK, "handlelength": 1, "borderaxespad": 0.2}
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), **shown)
    _mark_incidents(axes, panel.board, scene)


def _mark_incidents(axes: Axes, name: str, scene: Scene) -> None:
    for each in board(name).get("annotations", {}).get("list", []):
        if "expr" in each:
            for found in scene.over_time(asked(each["expr"], CHOSEN.get(name, ALL))):
                axes.axvline((float(found["values"][0][0]) - scene.since) / 60, color=COLOURS["red"], lw=1, ls="--")


def _bars(axes: Axes, panel: Panel, scene: Scene) -> None:
    values = sorted((points[-1][1], name) for name, points in _series(panel, scene, now=True))
    most = panel.model["fieldConfig"]["defaults"].get("max") or max((value for value, _ in values), default=1)
    for place, (value, name) in enumerate(values):
        axes.barh(place, most, color="#22252b", height=0.7)
        axes.barh(place, value, color=_colour_of(value, panel), height=0.7)
        axes.text(most, place, f" {said(value, panel.unit)}", va="center", fontsize=8)
        axes.text(0, place, f"{name} ", va="center", ha="right", fontsize=8)
    axes.axis("off")
    axes.set_xlim(-0.32 * most, 1.1 * most)


def _rows(axes: Axes, panel: Panel, scene: Scene) -> None:
    if panel.board == "users":
        head, body = _asked_of_postgres(panel, scene)
    else:
        ((_, expr),) = panel.queries.items()
        (tidied,) = (each["options"] for each in panel.model["transformations"])
        shown = sorted(tidied["indexByName"], key=lambda name: int(tidied["indexByName"][name]))
        head = [tidied["renameByName"].get(name, name) for name in shown]
        found = scene.now(asked(expr, CHOSEN.get(panel.board, ALL)))
        found.sort(key=lambda each: -float(each["value"][1]))
        body = [
            [*(each["metric"].get(name, "") for name in shown[:-1]), f"{float(each['value'][1]):g}"] for each in found
        ]
    _table(axes, head, body, panel.model["gridPos"])


def _table(axes: Axes, head: Sequence[str], body: Sequence[Sequence[str]], at: dict[str, int]) -> None:
    axes.axis("off")
    room = int(at["h"] * 1.45) - 3
    lines = [head, *body[:room]]
    wanted = [min(36, max(len(row[column]) for row in lines)) + 2 for column in range(len(head))]
    scale = min(1.0, at["w"] * 8.2 / sum(wanted)) / (at["w"] * 8.2)
    for down, row in enumerate(lines):
        for column, value in enumerate(row):
            widest = int(wanted[column] * scale * at["w"] * 8.2)
            text = value if len(value) < widest else value[: widest - 2] + "…"
            place = (sum(wanted[:column]) * scale, 1 - down / (room + 0.5))
            axes.text(*place, text, fontsize=8, va="top", color=INK if down else "#6e9fff")


def _timeline(axes: Axes, panel: Panel, scene: Scene) -> None:
    ((_, sql),) = panel.queries.items()
    rows, until = _answer(sql, scene)[1], datetime.now(UTC).timestamp()
    colours = panel.model["fieldConfig"]["defaults"]["mappings"][0]["options"]
    providers = sorted({each[1] for each in rows})
    for place, provider in enumerate(providers):
        changes = [(max(at.timestamp(), scene.since), status) for at, name, status in rows if name == provider]
        for (at, status), (end, _) in zip(changes, [*changes[1:], (until, "")], strict=True):
            colour = COLOURS[colours[status]["color"]] if status in colours else FAINT
            axes.barh(place, (end - at) / 60, left=(at - scene.since) / 60, color=colour, height=0.8)
            if end - at > SECONDS / 15:
                axes.text(((at + end) / 2 - scene.since) / 60, place, status, ha="center", va="center", color=GROUND)
    axes.set_yticks(range(len(providers)), providers)
    axes.set_facecolor(SHEET)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} min")


def _asked_of_postgres(panel: Panel, scene: Scene) -> tuple[list[str], list[list[str]]]:
    ((_, sql),) = panel.queries.items()
    head, rows = _answer(sql, scene)
    return head, [[_cell(value) for value in row] for row in rows]


def _answer(sql: str, scene: Scene) -> tuple[list[str], list[tuple[Any, ...]]]:
    with psycopg.connect(scene.database) as connection:
        cursor = connection.execute(told(sql, user_with_a_past(connection)))
        return [each.name for each in cursor.description or []], cursor.fetchall()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%H:%M:%S}"
    return "" if value is None else str(value)


def _colour_of(value: float, panel: Panel) -> str:
    steps = panel.model["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [each["color"] for each in steps if each.get("value") is None or value >= each["value"]]
    return COLOURS[reached[-1]]


def said(value: float, unit: str) -> str:
    """Return a value with its unit, as people say it."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        return f"{value:.3g} s" if value >= 0.1 or not value else f"{1000 * value:.3g} ms"
    return f"{value:.3g}" + {"reqps": " req/s", "ops": " /s"}.get(unit, "")


DRAWN: Final = {"stat": _stat, "timeseries": _lines, "bargauge": _bars, "table": _rows, "state-timeline": _timeline}

if __name__ == "__main__":
    main()

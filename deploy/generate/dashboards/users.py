"""Single users, read from PostgreSQL: no user id is in a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import common, dashboard, statetimeline, table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models

from deploy.generate.dashboards.frame import choice, source, started
from deploy.generate.dashboards.panels import GREEN, GREY, RED, YELLOW

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

POSTGRESQL: Final = "grafana-postgresql-datasource"
DATABASE: Final = models.DataSourceRef(type_val=POSTGRESQL, uid="${postgresql}")
CHOSEN: Final = "u.id IN (SELECT id FROM users WHERE ${user_id:sqlstring} IN (user_id::text, client_user_id))"
MOST: Final = 500
BROKEN: Final = f"""
SELECT u.user_id::text AS "user", u.client_user_id AS "client user", t.name AS target, c.provider,
       c.error_type AS "error type", c.errored_at AS "errored at", c.since AS "seen since",
       c.error_message AS message, u.observed_at AS "last seen"
FROM connections c JOIN users u ON u.id = c.member JOIN targets t ON t.id = u.target_id
WHERE c.status = 'error' AND t.name IN ($target) AND c.provider IN ($provider)
ORDER BY c.since DESC LIMIT {MOST}"""
UNSEEN: Final = """
SELECT u.user_id::text AS "user", u.client_user_id AS "client user", t.name AS target, u.intent, u.presence,
       u.reason, u.failures, u.observed_at AS "last seen", u.next_poll_at AS "due"
FROM users u JOIN targets t ON t.id = u.target_id
WHERE t.name IN ($target) AND u.intent = 'active'
ORDER BY u.observed_at NULLS FIRST LIMIT 50"""
CONNECTIONS: Final = f"""
SELECT c.provider, c.status, c.error_type AS "error type", c.errored_at AS "errored at", c.since,
       c.first_seen_at AS "first seen", c.error_message AS message, u.observed_at AS "last seen"
FROM connections c JOIN users u ON u.id = c.member
WHERE {CHOSEN} ORDER BY c.provider"""
# What held when the range began, then every change within it.
TIMELINE: Final = f"""
SELECT * FROM (
  SELECT DISTINCT ON (h.provider) $__timeFrom()::timestamptz AS time, h.provider, coalesce(h.status, 'none') AS status
  FROM transitions h JOIN users u ON u.id = h.member
  WHERE {CHOSEN} AND h.provider IS NOT NULL AND h.resource IS NULL AND h.observed_at < $__timeFrom()
  ORDER BY h.provider, h.observed_at DESC, h.ordinal DESC
) AS before
UNION ALL
SELECT h.observed_at, h.provider, coalesce(h.status, 'none')
FROM transitions h JOIN users u ON u.id = h.member
WHERE {CHOSEN} AND h.provider IS NOT NULL AND h.resource IS NULL AND $__timeFilter(h.observed_at)
ORDER BY time"""
TRANSITIONS: Final = f"""
SELECT h.observed_at AS time, h.provider, h.kind, h.resource, h.previous_status AS "was", h.status,
       h.error_type AS "error type", h.errored_at AS "errored at", h.error_message AS message
FROM transitions h JOIN users u ON u.id = h.member
WHERE {CHOSEN} AND $__timeFilter(h.observed_at)
ORDER BY h.observed_at DESC, h.ordinal DESC LIMIT {MOST}"""
ALERTS: Final = f"""
SELECT a.began_at AS time, a.provider, a.kind, a.severity, a.state, a.error_type AS "error type",
       a.fired_at AS "fired at", a.resolved_at AS "resolved at", a.reason
FROM alerts a JOIN users u ON u.id = a.member
WHERE {CHOSEN} AND a.began_at <= $__timeTo() AND coalesce(a.resolved_at, $__timeTo()) >= $__timeFrom()
ORDER BY a.began_at DESC LIMIT {MOST}"""


class Query(Dataquery, Builder[Dataquery]):
    """A query in SQL; the library has no model of this data source's."""

    def __init__(self, sql: str) -> None:
        self.raw_sql = sql.strip()

    def build(self) -> Query:
        """Return itself: it is a builder too."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana has it."""
        words = {"refId": "A", "format": "table", "rawQuery": True, "editorMode": "code", "rawSql": self.raw_sql}
        return {"datasource": DATABASE, **words}


def chosen(name: str, label: str, sql: str) -> dashboard.QueryVariable:
    """Return a variable with the values that SQL yields."""
    return choice(name, label, sql, asked=DATABASE, everything=None)


def board() -> Dashboard:
    """Return the dashboard."""
    made = started("junction-users", "Junction / Users", "Single users and their connections, from PostgreSQL.")
    made = made.with_variable(source("postgresql", "PostgreSQL", POSTGRESQL))
    made = made.with_variable(chosen("target", "Target", "SELECT name FROM targets"))
    made = made.with_variable(chosen("provider", "Provider", "SELECT DISTINCT provider FROM connections"))
    made = made.with_variable(dashboard.TextBoxVariable("user_id").label("User (Junction's id, or yours)"))
    made = made.with_row(dashboard.Row("One user: $user_id"))
    for each in _one_user():
        made = made.with_panel(each)
    return made.with_row(dashboard.Row("The cohort")).with_panel(_broken()).with_panel(_unseen())


def _one_user() -> tuple[Any, ...]:
    return (
        _rows("Connections", "This user's connections as they are now.", CONNECTIONS, height=6),
        _timeline(),
        _rows("Transitions", "What changed in the chosen time, newest first.", TRANSITIONS, height=8),
        _rows("Alerts", "Alerts that were open in the chosen time, and why they are as they are.", ALERTS, height=6),
    )


def _broken() -> Any:
    said = f"Connections in error, newest first, {MOST} at most. A user id leads to that user."
    return _linked(_rows("Broken now", said, BROKEN, height=10))


def _unseen() -> Any:
    said = "The 50 active users whose last good snapshot is oldest: never seen first, then those whose polls fail."
    return _linked(_rows("Seen longest ago", said, UNSEEN, height=10))


def _rows(title: str, description: str, sql: str, *, height: int) -> Any:
    panel = table.Panel().title(title).unit("string").description(description).span(24).height(height)
    panel = panel.datasource(DATABASE).with_target(Query(sql)).filterable(True)
    return panel.override_by_field_type("time", [models.DynamicConfigValue("unit", "dateTimeAsIso")])


def _linked(panel: Any) -> Any:
    link = {"title": "This user", "url": "/d/junction-users?${__url_time_range}&var-user_id=${__value.raw}"}
    return panel.override_by_name("user", [models.DynamicConfigValue("links", [link])])


def _timeline() -> Any:
    panel = statetimeline.Panel().title("Timeline").unit("string").span(24).height(8).datasource(DATABASE)
    panel = panel.description("The status of each of this user's connections over the chosen time.")
    panel = panel.with_target(Query(TIMELINE)).show_value(kinds.VisibilityMode.AUTO).row_height(0.8)
    split = models.DataTransformerConfig(
        id_val="partitionByValues", options={"fields": ["provider"], "keepFields": False, "naming": {"asLabels": True}}
    )
    panel = panel.with_transformation(split).legend(common.VizLegendOptions().show_legend(False))
    colours = {"connected": GREEN, "error": RED, "paused": GREY, "none": YELLOW}
    result = {status: {"color": colour, "index": at} for at, (status, colour) in enumerate(colours.items())}
    return panel.mappings([models.ValueMap(options=_mapped(result))])


def _mapped(result: dict[str, dict[str, Any]]) -> dict[str, models.ValueMappingResult]:
    return {
        status: models.ValueMappingResult(color=each["color"], index=each["index"]) for status, each in result.items()
    }

"""Alerts that wait, incidents, and delivery to several sinks.

Decisions are taken on stored transitions by one replica at a time, so those that none was taken on are queued in
`undecided`. An alert of before stays open as it is: it fired, and is known by its provider.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
OPEN = "state IN ('pending', 'firing')"
FIRED = "state = 'firing'"
WAITING_INCIDENT = "written_at IS NULL AND event = 'incident.alert'"
SENT = "outcome = 'delivered' AND sink <> 'log'"
RAISED = "kind = 'error' AND incident_id IS NULL AND state <> 'withdrawn'"


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("told_users", sa.Integer(), nullable=False),
        sa.Column("updates", sa.Integer(), nullable=False),
        sa.Column("resolved_at", MOMENT),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_incidents_target_id"),
    )
    partial("uq_incidents_open", "incidents", ["target_id", "provider", "error_type"], FIRED, unique=True)
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_table(
        "undecided",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("member", KEY, nullable=False),
        sa.Column("transition_id", sa.Uuid()),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_undecided"),
        sa.ForeignKeyConstraint(["member"], ["users.id"], name="fk_undecided_member", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_undecided_member", "undecided", ["member"])
    upgrade_alerts()
    upgrade_outbox()
    if on_postgresql():
        op.execute("ALTER TABLE undecided SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")


def upgrade_alerts() -> None:
    drop_indexes("alerts", "ix_alerts_member", "uq_alerts_firing", "ix_alerts_resolved_at")
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(sa.Column("target_id", sa.SmallInteger()))
        alerts.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default="error"))
        alerts.add_column(sa.Column("resource", sa.Text(), nullable=False, server_default=""))
        alerts.add_column(sa.Column("status", sa.Text()))
        alerts.add_column(sa.Column("began_at", MOMENT))
        alerts.add_column(sa.Column("confirmed_at", MOMENT))
        alerts.add_column(sa.Column("due_at", MOMENT))
        alerts.add_column(sa.Column("fired_reason", sa.Text()))
        alerts.add_column(sa.Column("incident_id", sa.Uuid()))
        alerts.alter_column("fired_by", new_column_name="began_by")
        alerts.alter_column("fired_at", existing_type=MOMENT, nullable=True)
    op.execute(
        "UPDATE alerts SET target_id = (SELECT target_id FROM users WHERE users.id = alerts.member), "
        "began_at = fired_at, confirmed_at = fired_at, fired_reason = CASE WHEN state = 'firing' THEN reason END, "
        "status = CASE WHEN state = 'firing' THEN 'error' END"
    )
    with op.batch_alter_table("alerts") as alerts:
        alerts.alter_column("target_id", existing_type=sa.SmallInteger(), nullable=False)
        alerts.alter_column("began_at", existing_type=MOMENT, nullable=False)
        alerts.alter_column("confirmed_at", existing_type=MOMENT, nullable=False)
        alerts.alter_column("kind", existing_type=sa.Text(), server_default=None)
        alerts.alter_column("resource", existing_type=sa.Text(), server_default=None)
        alerts.create_foreign_key("fk_alerts_target_id", "targets", ["target_id"], ["id"])
    partial("uq_alerts_open", "alerts", ["member", "provider", "resource"], OPEN, unique=True)
    op.create_index("ix_alerts_member", "alerts", ["member", "began_at"])
    partial("ix_alerts_raised", "alerts", ["confirmed_at", "target_id", "provider", "error_type"], RAISED)
    partial("ix_alerts_due_at", "alerts", ["due_at"], "due_at IS NOT NULL")
    partial("ix_alerts_incident_id", "alerts", ["incident_id", "member"], "incident_id IS NOT NULL")
    partial("ix_alerts_resolved_at", "alerts", ["resolved_at"], "resolved_at IS NOT NULL")


def upgrade_outbox() -> None:
    drop_indexes("outbox", "ix_outbox_member", "ix_outbox_written_at", "ix_outbox_pending")
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("event", sa.Text(), nullable=False, server_default="connection.alert"))
        outbox.add_column(sa.Column("updates", sa.Integer(), nullable=False, server_default="0"))
        outbox.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        outbox.add_column(sa.Column("next_attempt_at", MOMENT))
        outbox.add_column(sa.Column("error", sa.Text()))
        outbox.add_column(sa.Column("outcome", sa.Text()))
        outbox.alter_column("member", existing_type=KEY, nullable=True)
    op.execute("UPDATE outbox SET outcome = 'delivered' WHERE written_at IS NOT NULL")
    with op.batch_alter_table("outbox") as outbox:
        for name, kind in (("event", sa.Text()), ("updates", sa.Integer()), ("attempts", sa.Integer())):
            outbox.alter_column(name, existing_type=kind, server_default=None)
    index_outbox(["sink", "next_attempt_at", "id"])
    partial("ix_outbox_incidents", "outbox", ["sink", "id"], WAITING_INCIDENT)
    partial("ix_outbox_sent", "outbox", ["sink", "written_at"], SENT)
    op.create_index("ix_outbox_alert_id", "outbox", ["alert_id"])


def downgrade() -> None:
    """Alerts that wait and everything about incidents are forgotten: the program of before knows neither."""
    drop_indexes("outbox", "ix_outbox_alert_id", "ix_outbox_member", "ix_outbox_written_at", "ix_outbox_pending")
    drop_indexes("outbox", "ix_outbox_incidents", "ix_outbox_sent")
    op.execute("DELETE FROM outbox WHERE member IS NULL OR sink <> 'log'")
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("member", existing_type=KEY, nullable=False)
        for name in ("outcome", "error", "next_attempt_at", "attempts", "updates", "event"):
            outbox.drop_column(name)
    index_outbox(["id"])
    drop_indexes(
        "alerts",
        "uq_alerts_open",
        "ix_alerts_member",
        "ix_alerts_raised",
        "ix_alerts_due_at",
        "ix_alerts_incident_id",
        "ix_alerts_resolved_at",
    )
    op.execute("DELETE FROM alerts WHERE fired_at IS NULL OR kind <> 'error'")
    op.execute("DELETE FROM counts WHERE count = 'incidents'")
    op.execute(
        "UPDATE counts SET value = (SELECT count(*) FROM alerts WHERE alerts.target_id = counts.target_id "
        "AND provider = a AND severity = b AND state = 'firing') WHERE count = 'alerts'"
    )
    with op.batch_alter_table("alerts") as alerts:
        alerts.drop_constraint("fk_alerts_target_id", type_="foreignkey")
        alerts.alter_column("fired_at", existing_type=MOMENT, nullable=False)
        alerts.alter_column("began_by", new_column_name="fired_by")
        for name in (
            "incident_id",
            "fired_reason",
            "due_at",
            "confirmed_at",
            "began_at",
            "status",
            "resource",
            "kind",
            "target_id",
        ):
            alerts.drop_column(name)
    op.create_index("ix_alerts_member", "alerts", ["member", "fired_at"])
    partial("uq_alerts_firing", "alerts", ["member", "provider"], FIRED, unique=True)
    partial("ix_alerts_resolved_at", "alerts", ["resolved_at"], "state = 'resolved'")
    op.drop_table("undecided")
    op.drop_table("incidents")


def index_outbox(pending: list[str]) -> None:
    op.create_index("ix_outbox_member", "outbox", ["member"])
    partial("ix_outbox_written_at", "outbox", ["written_at"], "written_at IS NOT NULL")
    partial("ix_outbox_pending", "outbox", pending, "written_at IS NULL")


def drop_indexes(table: str, *names: str) -> None:
    # Before a column changes: SQLite makes the table anew, and with it only what it can read back of an index.
    for name in names:
        op.drop_index(name, table)


def on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)

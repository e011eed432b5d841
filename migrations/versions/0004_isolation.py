"""Isolation: why each user is not seen, verdicts on targets, doubts about absences, entries set aside, erased ids.

Columns and tables are only added, so that replicas of the release before go on working while the new ones start. Users
that were paused as invalid become due again, once every `poll.gone_interval`.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ACTIVE = "intent = 'active'"
CLAIMABLE_BEFORE = "intent = 'active' AND presence <> 'invalid'"
FAILED = "intent = 'active' AND presence = 'present' AND failed_at IS NOT NULL"
WAITING_INCIDENT = "written_at IS NULL AND event = 'incident.alert'"
SENT = "outcome = 'delivered' AND sink <> 'log'"


def upgrade() -> None:
    for column in (
        sa.Column("outcome", sa.Text()),
        sa.Column("failed_at", MOMENT),
        sa.Column("doubts", JSON),
        sa.Column("unlisted_at", MOMENT),
        sa.Column("created_on", MOMENT),
    ):
        op.add_column("users", column)
    op.drop_index("ix_users_due", "users")
    partial("ix_users_due", "users", ["target_id", "next_poll_at"], ACTIVE)
    partial("ix_users_failed", "users", ["target_id", "failed_at"], FAILED)
    op.add_column("targets", sa.Column("discovered_at", MOMENT))
    op.add_column("targets", sa.Column("erasure_salt", sa.LargeBinary()))
    discovered = sa.table("targets", sa.column("discovered_at", MOMENT))
    op.execute(discovered.update().values(discovered_at=now()))
    op.add_column("budgets", sa.Column("health", JSON))
    op.add_column("budgets", sa.Column("reserve", sa.Double(), nullable=False, server_default="0"))
    op.add_column("budgets", sa.Column("awaited_at", MOMENT))
    op.add_column("undecided", sa.Column("kind", sa.Text()))
    op.add_column("undecided", sa.Column("set_aside_at", MOMENT))
    op.add_column("undecided", sa.Column("reason", sa.Text()))
    op.add_column("alerts", sa.Column("updates", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "erased",
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("target_id", "digest", name="pk_erased"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_erased_target_id"),
    )
    number_outbox(autoincrement=True)


def downgrade() -> None:
    number_outbox(autoincrement=False)
    op.drop_table("erased")
    op.drop_column("alerts", "updates")
    op.execute("DELETE FROM undecided WHERE kind IS NOT NULL OR set_aside_at IS NOT NULL")
    for name in ("reason", "set_aside_at", "kind"):
        op.drop_column("undecided", name)
    for name in ("awaited_at", "reserve", "health"):
        op.drop_column("budgets", name)
    for name in ("erasure_salt", "discovered_at"):
        op.drop_column("targets", name)
    op.drop_index("ix_users_failed", "users")
    op.drop_index("ix_users_due", "users")
    partial("ix_users_due", "users", ["target_id", "next_poll_at"], CLAIMABLE_BEFORE)
    for name in ("created_on", "unlisted_at", "doubts", "failed_at", "outcome"):
        op.drop_column("users", name)


def number_outbox(*, autoincrement: bool) -> None:
    """Let SQLite never give the number of a deleted row again; PostgreSQL never does."""
    if op.get_bind().dialect.name != "sqlite":
        return
    # SQLite makes the table anew, and with it only what it can read back of a partial index.
    for name in ("member", "alert_id", "written_at", "pending", "incidents", "sent"):
        op.drop_index(f"ix_outbox_{name}", "outbox")
    with op.batch_alter_table("outbox", recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}):
        pass
    op.create_index("ix_outbox_member", "outbox", ["member"])
    op.create_index("ix_outbox_alert_id", "outbox", ["alert_id"])
    partial("ix_outbox_written_at", "outbox", ["written_at"], "written_at IS NOT NULL")
    partial("ix_outbox_pending", "outbox", ["sink", "next_attempt_at", "id"], "written_at IS NULL")
    partial("ix_outbox_incidents", "outbox", ["sink", "id"], WAITING_INCIDENT)
    partial("ix_outbox_sent", "outbox", ["sink", "written_at"], SENT)


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(tzinfo=None) if op.get_bind().dialect.name == "sqlite" else moment


def partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)

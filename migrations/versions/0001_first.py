"""Everything that is remembered: the cohort, its connections, snapshots, transitions, alerts and counts.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL_KEY = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "targets",
        sa.Column("id", SMALL_KEY, sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
        sa.UniqueConstraint("name", name="uq_targets_name"),
    )
    op.create_table(
        "users",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_user_id", sa.Text()),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("presence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("next_poll_at", MOMENT, nullable=False),
        sa.Column("lease", sa.BigInteger()),
        sa.Column("leased_until", MOMENT),
        sa.Column("observed_at", MOMENT),
        sa.Column("missing_since", MOMENT),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_users_target_id"),
        sa.UniqueConstraint("target_id", "user_id", name="uq_users_target_id_user_id"),
    )
    partial("ix_users_due", "users", ["target_id", "next_poll_at"], "intent = 'active' AND presence <> 'invalid'")
    partial("ix_users_seen", "users", ["target_id", "observed_at"], "intent = 'active' AND presence = 'present'")
    op.create_table(
        "connections",
        sa.Column("member", KEY, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_on", MOMENT),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("errored_at", MOMENT),
        sa.Column("external_user_id", sa.Text()),
        sa.Column("resources", JSON, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("member", "provider", name="pk_connections"),
        of_member("connections"),
    )
    partial("ix_connections_error", "connections", ["member"], "status = 'error'")
    op.create_table(
        "snapshots",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("member", KEY, nullable=False),
        sa.Column("first_observed_at", MOMENT, nullable=False),
        sa.Column("last_observed_at", MOMENT),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("connections", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
        of_member("snapshots"),
    )
    op.create_index("ix_snapshots_member_first_observed_at", "snapshots", ["member", "first_observed_at"])
    partial("uq_snapshots_open", "snapshots", ["member"], "last_observed_at IS NULL", unique=True)
    op.create_table(
        "transitions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member", KEY, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text()),
        sa.Column("previous_status", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("previous_error_type", sa.Text()),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("errored_at", MOMENT),
        sa.Column("previous_observed_at", MOMENT),
        sa.Column("observed_at", MOMENT, nullable=False),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transitions"),
        of_member("transitions"),
    )
    op.create_index("ix_transitions_observed_at", "transitions", ["observed_at", "member", "ordinal"])
    op.create_index("ix_transitions_member", "transitions", ["member", "observed_at", "ordinal"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member", KEY, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("errored_at", MOMENT),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fired_at", MOMENT, nullable=False),
        sa.Column("fired_by", sa.Uuid(), nullable=False),
        sa.Column("resolved_at", MOMENT),
        sa.Column("resolved_by", sa.Uuid()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        of_member("alerts"),
    )
    partial("uq_alerts_firing", "alerts", ["member", "provider"], "state = 'firing'", unique=True)
    op.create_index("ix_alerts_member", "alerts", ["member", "fired_at"])
    op.create_table(
        "outbox",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("member", KEY, nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("written_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        of_member("outbox"),
    )
    op.create_index("ix_outbox_member", "outbox", ["member"])
    partial("ix_outbox_pending", "outbox", ["id"], "written_at IS NULL")
    op.create_table(
        "counts",
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.Text(), nullable=False),
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("c", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "count", "a", "b", "c", name="pk_counts"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_counts_target_id"),
    )


def downgrade() -> None:
    for table in ("counts", "outbox", "alerts", "transitions", "snapshots", "connections", "users", "targets"):
        op.drop_table(table)


def of_member(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["member"], ["users.id"], name=f"fk_{table}_member", ondelete="CASCADE")


def partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)

"""What replicas share: a rate budget for each target, turns at recurring jobs, leases on notices; and upkeep.

The settings of PostgreSQL's storage are for the access pattern: `users` is written by every poll and never grows by it,
`budgets`, `jobs` and `counts` are few rows that are written all the time.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STORAGE: dict[str, dict[str, float]] = {
    "users": {
        "fillfactor": 70,
        "autovacuum_vacuum_scale_factor": 0.05,
        "autovacuum_vacuum_cost_delay": 0,
        "autovacuum_analyze_scale_factor": 0.05,
    },
    "counts": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 500},
    "budgets": {"fillfactor": 10, "autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 500},
    "jobs": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 500},
    "outbox": {"autovacuum_vacuum_scale_factor": 0.02},
}


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("factor", sa.Double(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("refilled_at", MOMENT, nullable=False),
        sa.Column("throttled_at", MOMENT, nullable=False),
        sa.Column("halved_at", MOMENT, nullable=False),
        sa.Column("blocked_until", MOMENT, nullable=False),
        sa.Column("rejected", sa.Text()),
        sa.Column("rejected_at", MOMENT, nullable=False),
        sa.Column("probed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("target_id", name="pk_budgets"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_budgets_target_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lease", sa.BigInteger()),
        sa.Column("leased_until", MOMENT),
        sa.Column("ran_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    op.add_column("outbox", sa.Column("lease", sa.BigInteger()))
    op.add_column("outbox", sa.Column("leased_until", MOMENT))
    op.add_column("targets", sa.Column("reported_errored", sa.BigInteger()))
    op.add_column("targets", sa.Column("reported_at", MOMENT))
    partial("ix_snapshots_last_observed_at", "snapshots", ["last_observed_at"], "last_observed_at IS NOT NULL")
    partial("ix_alerts_resolved_at", "alerts", ["resolved_at"], "state = 'resolved'")
    partial("ix_outbox_written_at", "outbox", ["written_at"], "written_at IS NOT NULL")
    store_as({table: ", ".join(f"{name} = {value}" for name, value in each.items()) for table, each in STORAGE.items()})


def downgrade() -> None:
    store_as(dict.fromkeys(STORAGE.keys() - {"budgets", "jobs"}))
    op.drop_index("ix_outbox_written_at", "outbox")
    op.drop_index("ix_alerts_resolved_at", "alerts")
    op.drop_index("ix_snapshots_last_observed_at", "snapshots")
    for table, columns in (("targets", ("reported_at", "reported_errored")), ("outbox", ("leased_until", "lease"))):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
    op.drop_table("jobs")
    op.drop_table("budgets")


def store_as(settings: dict[str, str | None]) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, given in settings.items():
        named = f"SET ({given})" if given else f"RESET ({', '.join(STORAGE[table])})"
        op.execute(f"ALTER TABLE {table} {named}")


def partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)

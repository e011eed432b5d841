"""Isolation: why each user is not seen, verdicts on targets, doubts about absences, entries set aside, erased ids.

Columns and tables are only added, so that replicas of the release before go on working while the new ones start. Users
that were paused as invalid become due again, once every `poll.gone_interval`. Counts at zero are deleted; where there
are very many of one target, the smallest are added up under `other`.

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
STATUSES = ("connected", "error", "paused")
MOST_COUNTS = 1000
COUNTS = sa.table("counts", *(sa.column(name) for name in ("target_id", "count", "a", "b", "c", "value")))
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
    op.add_column("outbox", sa.Column("claimed_at", MOMENT))
    op.create_table(
        "erased",
        sa.Column("target_id", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("target_id", "digest", name="pk_erased"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_erased_target_id"),
    )
    op.create_table(
        "privacy",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("rewritten_at", MOMENT, nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_privacy"),
    )
    number_outbox(autoincrement=True)
    bound_counts()


def downgrade() -> None:
    op.drop_column("outbox", "claimed_at")
    number_outbox(autoincrement=False)
    op.drop_table("privacy")
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


def bound_counts() -> None:
    """Leave as many counts as the program makes from now on: words that were invented made rows without bound."""
    bind = op.get_bind()
    bind.execute(COUNTS.delete().where(COUNTS.c.value == 0, COUNTS.c["count"] != "transitions"))
    # The largest first: those beyond the bound are added up in rows whose unknown words read `other`.
    ordered = sa.select(COUNTS).order_by(COUNTS.c.value.desc(), COUNTS.c.a, COUNTS.c.b, COUNTS.c.c)
    for target, count in bind.execute(sa.select(COUNTS.c.target_id, COUNTS.c["count"]).distinct()).all():
        ours = sa.and_(COUNTS.c.target_id == target, COUNTS.c["count"] == count)
        rows = [tuple(row) for row in bind.execute(ordered.where(ours))]
        if count == "users" or len(rows) <= MOST_COUNTS:
            continue
        kept = {row[2:5]: row[5] for row in rows[:MOST_COUNTS]}
        for *_, a, b, c, value in rows[MOST_COUNTS:]:
            words = other(count, a, b, c)
            kept[words] = kept.get(words, 0) + value
        bind.execute(COUNTS.delete().where(ours))
        named = [dict(zip("abc", words, strict=True)) | {"value": value} for words, value in kept.items()]
        bind.execute(COUNTS.insert(), [{"target_id": target, "count": count} | each for each in named])


def other(count: str, a: str, b: str, c: str) -> tuple[str, str, str]:
    """Return the words of the row that a count without one of its own belongs to."""
    if (count == "connections" and b not in STATUSES) or count in {"resources_unavailable", "incidents"}:
        b = "other"
    return (a and "other", b, c and "other")


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(tzinfo=None) if op.get_bind().dialect.name == "sqlite" else moment


def partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)

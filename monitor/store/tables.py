"""The tables as SQLAlchemy sees them; the migrations make them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from sqlalchemy import Dialect

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Key = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column of exactly this type."""
Json = JSON().with_variant(postgresql.JSONB(), "postgresql")


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond; in SQLite as text whose order is that of time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite keeps no offset, so it is given UTC without one."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Whatever the session's time zone is, the program sees UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def to_json(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


metadata = MetaData(naming_convention=NAMING)

targets = Table(
    "targets",
    metadata,
    Column("id", SmallInteger().with_variant(Integer(), "sqlite"), Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("reported_errored", BigInteger),
    Column("reported_at", Moment),
)

budgets = Table(
    "budgets",
    metadata,
    Column("target_id", SmallInteger, ForeignKey("targets.id"), primary_key=True),
    Column("factor", Double, nullable=False),
    Column("tokens", Double, nullable=False),
    Column("refilled_at", Moment, nullable=False),
    Column("throttled_at", Moment, nullable=False),
    Column("halved_at", Moment, nullable=False),
    Column("blocked_until", Moment, nullable=False),
    Column("rejected", Text),
    Column("rejected_at", Moment, nullable=False),
    Column("probed_at", Moment, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("lease", BigInteger),
    Column("leased_until", Moment),
    Column("ran_at", Moment),
)

CLAIMABLE: Final = text("intent = 'active' AND presence <> 'invalid'")
PRESENT: Final = text("intent = 'active' AND presence = 'present'")

users = Table(
    "users",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("target_id", SmallInteger, ForeignKey("targets.id"), nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("client_user_id", Text),
    Column("intent", Text, nullable=False),
    Column("presence", Text, nullable=False),
    Column("reason", Text),
    Column("registered_at", Moment, nullable=False),
    Column("next_poll_at", Moment, nullable=False),
    Column("lease", BigInteger),
    Column("leased_until", Moment),
    Column("observed_at", Moment),
    Column("missing_since", Moment),
    Column("failures", Integer, nullable=False),
    Column("digest", LargeBinary),
    UniqueConstraint("target_id", "user_id"),
    Index("ix_users_due", "target_id", "next_poll_at", postgresql_where=CLAIMABLE, sqlite_where=CLAIMABLE),
    Index("ix_users_seen", "target_id", "observed_at", postgresql_where=PRESENT, sqlite_where=PRESENT),
)

connections = Table(
    "connections",
    metadata,
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("created_on", Moment),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("errored_at", Moment),
    Column("external_user_id", Text),
    Column("resources", Json, nullable=False),
    Column("since", Moment, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Index(
        "ix_connections_error",
        "member",
        postgresql_where=text("status = 'error'"),
        sqlite_where=text("status = 'error'"),
    ),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("first_observed_at", Moment, nullable=False),
    Column("last_observed_at", Moment),
    Column("gone", Boolean, nullable=False),
    Column("connections", Json, nullable=False),
    Index("ix_snapshots_member_first_observed_at", "member", "first_observed_at"),
    Index(
        "uq_snapshots_open",
        "member",
        unique=True,
        postgresql_where=text("last_observed_at IS NULL"),
        sqlite_where=text("last_observed_at IS NULL"),
    ),
    Index(
        "ix_snapshots_last_observed_at",
        "last_observed_at",
        postgresql_where=text("last_observed_at IS NOT NULL"),
        sqlite_where=text("last_observed_at IS NOT NULL"),
    ),
)

transitions = Table(
    "transitions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("provider", Text),
    Column("kind", Text, nullable=False),
    Column("resource", Text),
    Column("previous_status", Text),
    Column("status", Text),
    Column("previous_error_type", Text),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("errored_at", Moment),
    Column("previous_observed_at", Moment),
    Column("observed_at", Moment, nullable=False),
    Column("baseline", Boolean, nullable=False),
    Index("ix_transitions_observed_at", "observed_at", "member", "ordinal"),
    Index("ix_transitions_member", "member", "observed_at", "ordinal"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("errored_at", Moment),
    Column("state", Text, nullable=False),
    Column("fired_at", Moment, nullable=False),
    Column("fired_by", Uuid, nullable=False),
    Column("resolved_at", Moment),
    Column("resolved_by", Uuid),
    Column("reason", Text, nullable=False),
    Index(
        "uq_alerts_firing",
        "member",
        "provider",
        unique=True,
        postgresql_where=text("state = 'firing'"),
        sqlite_where=text("state = 'firing'"),
    ),
    Index("ix_alerts_member", "member", "fired_at"),
    Index(
        "ix_alerts_resolved_at",
        "resolved_at",
        postgresql_where=text("state = 'resolved'"),
        sqlite_where=text("state = 'resolved'"),
    ),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("alert_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("sink", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("lease", BigInteger),
    Column("leased_until", Moment),
    Column("written_at", Moment),
    Index("ix_outbox_member", "member"),
    Index(
        "ix_outbox_written_at",
        "written_at",
        postgresql_where=text("written_at IS NOT NULL"),
        sqlite_where=text("written_at IS NOT NULL"),
    ),
    Index(
        "ix_outbox_pending",
        "id",
        postgresql_where=text("written_at IS NULL"),
        sqlite_where=text("written_at IS NULL"),
    ),
)

counts = Table(
    "counts",
    metadata,
    Column("target_id", SmallInteger, ForeignKey("targets.id"), primary_key=True),
    Column("count", Text, primary_key=True),
    Column("a", Text, primary_key=True),
    Column("b", Text, primary_key=True),
    Column("c", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

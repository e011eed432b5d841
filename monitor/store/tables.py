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
    case,
    text,
)
from sqlalchemy.dialects import postgresql

from monitor.core.model import EARLIEST_VENDOR_TIME, LATEST_VENDOR_TIME

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Dialect

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Key = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column of exactly this type."""
Json = JSON().with_variant(postgresql.JSONB(), "postgresql")
OptionalJson = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


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


class VendorTime(Moment):
    """A date of the vendor's.

    One outside 1970 to 2200 reads as NULL. An earlier release stored such dates, an older replica beside this one
    still may, and some that PostgreSQL holds (``infinity``, years BC) are no Python datetime: so SQL leaves them out.
    """

    cache_ok = True

    def column_expression(self, column: ColumnElement[datetime]) -> ColumnElement[Any]:
        """Return what is selected in place of the column."""
        return case((column.between(EARLIEST_VENDOR_TIME, LATEST_VENDOR_TIME), column))


def to_json(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index over the rows for which ``where`` holds."""
    held = text(where)
    return Index(name, *columns, unique=unique, postgresql_where=held, sqlite_where=held)


metadata = MetaData(naming_convention=NAMING)

targets = Table(
    "targets",
    metadata,
    Column("id", SmallInteger().with_variant(Integer(), "sqlite"), Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("reported_errored", BigInteger),
    Column("reported_at", Moment),
    Column("discovered_at", Moment),
    Column("erasure_salt", LargeBinary),
)
"""``discovered_at``: when its user list was first read whole. ``erasure_salt`` goes into the digests in ``erased``."""

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
    Column("health", OptionalJson),
    Column("reserve", Double, nullable=False, server_default="0"),
    Column("awaited_at", Moment),
)

jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("lease", BigInteger),
    Column("leased_until", Moment),
    Column("ran_at", Moment),
)

CLAIMABLE: Final = text("intent = 'active'")
PRESENT: Final = text("intent = 'active' AND presence = 'present'")
FAILED: Final = text(f"{PRESENT.text} AND failed_at IS NOT NULL")
"""Users whose latest poll returned nothing about their connections."""
OPEN: Final = "state IN ('pending', 'firing')"
RAISED: Final = text("kind = 'error' AND incident_id IS NULL AND state <> 'withdrawn'")
"""Alerts that make a wave, or did; those of an incident left out."""

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
    Column("outcome", Text),
    Column("failed_at", Moment),
    Column("doubts", OptionalJson),
    Column("unlisted_at", Moment),
    Column("created_on", VendorTime),
    UniqueConstraint("target_id", "user_id"),
    partial_index("ix_users_due", "target_id", "next_poll_at", where=CLAIMABLE.text),
    partial_index("ix_users_seen", "target_id", "observed_at", where=PRESENT.text),
    partial_index("ix_users_failed", "target_id", "failed_at", where=FAILED.text),
)
"""``outcome`` and ``failed_at`` tell how and when the latest poll failed, null where it was good. ``doubts`` holds what
is absent but not yet confirmed to be. ``unlisted_at``: a complete user list read then did not name the user.
``created_on`` is when Junction made the user, as far as discovery has read it."""

connections = Table(
    "connections",
    metadata,
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("created_on", VendorTime),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("errored_at", VendorTime),
    Column("external_user_id", Text),
    Column("resources", Json, nullable=False),
    Column("since", Moment, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    partial_index("ix_connections_error", "member", where="status = 'error'"),
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
    partial_index("uq_snapshots_open", "member", where="last_observed_at IS NULL", unique=True),
    partial_index("ix_snapshots_last_observed_at", "last_observed_at", where="last_observed_at IS NOT NULL"),
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
    Column("errored_at", VendorTime),
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
    Column("target_id", SmallInteger, ForeignKey("targets.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("errored_at", VendorTime),
    Column("state", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("began_by", Uuid, nullable=False),
    Column("confirmed_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("fired_at", Moment),
    Column("fired_reason", Text),
    Column("incident_id", Uuid),
    Column("resolved_at", Moment),
    Column("resolved_by", Uuid),
    Column("reason", Text, nullable=False),
    Column("updates", Integer, nullable=False, server_default="0"),
    partial_index("uq_alerts_open", "member", "provider", "resource", where=OPEN, unique=True),
    Index("ix_alerts_member", "member", "began_at"),
    partial_index("ix_alerts_raised", "confirmed_at", "target_id", "provider", "error_type", where=RAISED.text),
    partial_index("ix_alerts_due_at", "due_at", where="due_at IS NOT NULL"),
    partial_index("ix_alerts_incident_id", "incident_id", "member", where="incident_id IS NOT NULL"),
    partial_index("ix_alerts_resolved_at", "resolved_at", where="resolved_at IS NOT NULL"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("target_id", SmallInteger, ForeignKey("targets.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("error_type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("users", Integer, nullable=False),
    Column("share", Double, nullable=False),
    Column("told_users", Integer, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("resolved_at", Moment),
    Column("reason", Text, nullable=False),
    partial_index("uq_incidents_open", "target_id", "provider", "error_type", where="state = 'firing'", unique=True),
    Index("ix_incidents_opened_at", "opened_at"),
)

ADDED: Final = "added"
"""The kind of an entry in the queue of decisions that a user makes who was removed and is added again."""

undecided = Table(
    "undecided",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("transition_id", Uuid),
    Column("at", Moment, nullable=False),
    Column("kind", Text),
    Column("set_aside_at", Moment),
    Column("reason", Text),
    Index("ix_undecided_member", "member"),
    sqlite_autoincrement=True,  # a number that an erased user's row had must not become another's while it is settled
)
"""Transitions that no alert decision was taken on yet, a user's in order; without one, a user's removal, or its
addition after a removal where ``kind`` says so."""

WAITING_INCIDENT: Final = "written_at IS NULL AND event = 'incident.alert'"
SENT: Final = "outcome = 'delivered' AND sink <> 'log'"
"""What is written through an index of its own; SQLite knows such an index only by these words."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("member", Key, ForeignKey("users.id", ondelete="CASCADE")),
    Column("event", Text, nullable=False),
    Column("alert_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("sink", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("lease", BigInteger),
    Column("leased_until", Moment),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Moment),
    Column("claimed_at", Moment),
    Column("error", Text),
    Column("outcome", Text),
    Column("written_at", Moment),
    Index("ix_outbox_member", "member"),
    Index("ix_outbox_alert_id", "alert_id"),
    partial_index("ix_outbox_written_at", "written_at", where="written_at IS NOT NULL"),
    partial_index("ix_outbox_pending", "sink", "next_attempt_at", "id", where="written_at IS NULL"),
    partial_index("ix_outbox_incidents", "sink", "id", where=WAITING_INCIDENT),
    partial_index("ix_outbox_sent", "sink", "written_at", where=SENT),
    sqlite_autoincrement=True,  # the number of an erased user's row must not become another's while it is settled
)
"""``written_at`` is when a notice was done with, ``outcome`` how: delivered, rolled_up or gave_up."""

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

erased = Table(
    "erased",
    metadata,
    Column("target_id", SmallInteger, ForeignKey("targets.id"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("erased_at", Moment, nullable=False),
)
"""Users that were erased, as salted hashes: discovery leaves them out until a person adds them again."""

privacy = Table(
    "privacy",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("rewritten_at", Moment, nullable=False),
    Column("settled", Boolean, nullable=False),
)
"""The form that stored personal data is in: dropped, hashed or plain."""

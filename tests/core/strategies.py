"""What Hypothesis draws the core's values from: few words, so that collisions and changes are common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from hypothesis import strategies as st

from monitor.core.model import Connection, Presence, Snapshot, User, UserState
from monitor.core.policy import ANY, Flapping, Policy, Severity
from tests.core.samples import NOON

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

providers: Final = st.sampled_from(["fitbit", "oura", "whoop_v2", "Neuer|Anbieter"])
statuses: Final = st.sampled_from(["connected", "error", "paused", "ingesting"])
error_types: Final = st.sampled_from([None, "token_refresh_failed", "unknown", "brand_new"])
instants: Final = st.sampled_from([None, NOON - timedelta(days=1), NOON - timedelta(hours=1)])
resources: Final = st.dictionaries(
    st.sampled_from(["activity", "sleep", "heartrate"]), st.sampled_from(["available", "unavailable", "limited"])
)
user_ids: Final = st.uuids(version=4) | st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
users: Final = st.builds(User, target=st.sampled_from(["acme_us", "acme_eu"]), user_id=user_ids)
_severities: Final = st.dictionaries(
    st.sampled_from(["token_refresh_failed", "unknown", "unspecified", ANY]), st.sampled_from(Severity)
)
spans: Final = st.sampled_from([timedelta(), timedelta(minutes=10), timedelta(hours=2)])
policies: Final = st.builds(
    Policy,
    severities=_severities,
    otherwise=st.sampled_from(Severity),
    provider_severities=st.dictionaries(st.sampled_from(["fitbit", "oura"]), _severities),
    confirm_for=spans,
    confirm_for_error_types=st.dictionaries(st.sampled_from(["token_refresh_failed", "unspecified"]), spans),
    resource_lost=st.sampled_from(Severity),
    user_gone=st.sampled_from(Severity),
    unknown_status=st.sampled_from(Severity),
    statuses=st.dictionaries(st.just("ingesting"), st.sampled_from(Severity)),
    flapping=st.none() | st.builds(Flapping, transitions=st.integers(1, 5), within=st.just(timedelta(hours=1))),
)
moments: Final = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants bounds without a zone


@st.composite
def connections(draw: st.DrawFn, provider: str | None = None) -> Connection:
    """Draw a row; error fields only where it is in error."""
    status = draw(statuses)
    in_error = status == "error"
    return Connection(
        provider=provider or draw(providers),
        status=status,
        created_on=draw(instants),
        error_type=draw(error_types) if in_error else None,
        error_message=draw(st.sampled_from([None, "It broke."])) if in_error else None,
        errored_at=draw(instants) if in_error else None,
        resources=draw(resources),
    )


def rows(maximum: int = 4) -> SearchStrategy[dict[str, Connection]]:
    """Draw the connections of one user by provider."""
    return st.lists(connections(), max_size=maximum).map(lambda drawn: {each.provider: each for each in drawn})


@st.composite
def snapshots(draw: st.DrawFn, *, complete: bool | None = None) -> Snapshot:
    """Draw what a poll saw; ``complete`` fixes whether all rows could be read."""
    whole = draw(st.booleans()) if complete is None else complete
    return Snapshot(connections=draw(rows()), complete=whole, malformed_rows=0 if whole else draw(st.integers(1, 3)))


@st.composite
def states(draw: st.DrawFn, *, seen: bool = False) -> UserState:
    """Draw what is known of a user; one never seen, or gone, has no connections."""
    observed_at = NOON if seen else draw(st.sampled_from([None, NOON]))
    presence = Presence.PRESENT if seen else draw(st.sampled_from([Presence.PRESENT, Presence.GONE]))
    empty = observed_at is None or presence is Presence.GONE
    return UserState(
        user=draw(users), connections={} if empty else draw(rows()), observed_at=observed_at, presence=presence
    )

"""A large cohort made in the database itself, so that plans are those of a large table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from datetime import datetime

TARGET: Final = "acme_us"
STEPS: Final = (
    "INSERT INTO targets (name) VALUES (%(target)s)",
    """
    INSERT INTO users (target_id, user_id, intent, presence, registered_at, next_poll_at, observed_at, failures, digest)
    SELECT t.id, md5('user' || n)::uuid, 'active', 'present', %(now)s,
           %(now)s::timestamptz + random() * interval '15 minutes',
           %(now)s::timestamptz - random() * interval '15 minutes', 0, %(digest)s
    FROM generate_series(1, %(users)s) n, targets t ORDER BY random()
    """,
    """
    INSERT INTO connections (member, provider, status, created_on, error_type, error_message, errored_at, resources,
                             since, first_seen_at)
    SELECT u.id, p.provider, CASE WHEN u.id %% 50 = p.place THEN 'error' ELSE 'connected' END, %(now)s,
           CASE WHEN u.id %% 50 = p.place THEN 'token_refresh_failed' END, NULL,
           CASE WHEN u.id %% 50 = p.place THEN %(now)s::timestamptz END,
           '{"sleep":"available","activity":"available","body":"available"}', %(now)s, %(now)s
    FROM users u, (VALUES ('fitbit', 0), ('oura', 1), ('freestyle_libre', 2)) AS p (provider, place)
    """,
    """
    INSERT INTO snapshots (member, first_observed_at, gone, connections)
    SELECT u.id, %(now)s, false, jsonb_agg(jsonb_build_object('provider', c.provider, 'status', c.status,
        'created_on', c.created_on, 'error_type', c.error_type, 'error_message', NULL, 'errored_at', c.errored_at,
        'external_user_id', NULL, 'resources', c.resources) ORDER BY c.provider)
    FROM users u JOIN connections c ON c.member = u.id GROUP BY u.id
    """,
    """
    INSERT INTO transitions (id, member, ordinal, provider, kind, status, error_type, errored_at, observed_at, baseline)
    SELECT gen_random_uuid(), c.member, p.place, c.provider,
           CASE c.status WHEN 'error' THEN 'errored' ELSE 'appeared' END, c.status,
           c.error_type, c.errored_at, %(now)s::timestamptz - c.member %% 1000 * interval '1 minute', true
    FROM connections c JOIN (VALUES ('fitbit', 0), ('oura', 1), ('freestyle_libre', 2)) AS p (provider, place)
        ON p.provider = c.provider
    """,
    """
    INSERT INTO alerts (id, member, target_id, kind, provider, resource, severity, status, error_type, state,
                        began_at, began_by, confirmed_at, fired_at, fired_reason, resolved_at, reason)
    SELECT gen_random_uuid(), u.id, u.target_id, 'error', 'fitbit', '', 'warning', 'connected', 'token_refresh_failed',
           'resolved', x.at, gen_random_uuid(), x.at, x.at, 'it is confirmed', x.at, 'recovered ends it'
    FROM users u, LATERAL (SELECT %(now)s::timestamptz - u.id %% 1000 * interval '1 minute' AS at) x
    """,
    """
    INSERT INTO outbox (member, event, alert_id, state, updates, sink, payload, created_at, attempts, outcome,
                        written_at)
    SELECT a.member, 'connection.alert', a.id, 'firing', 0, 'log', '{}', a.fired_at, 0, 'delivered', a.fired_at
    FROM alerts a
    """,
    """
    INSERT INTO counts (target_id, count, a, b, c, value)
    SELECT t.id, 'users', 'active', '', '', %(users)s FROM targets t
    """,
    """
    INSERT INTO counts (target_id, count, a, b, c, value)
    SELECT u.target_id, 'connections', c.provider, c.status, coalesce(c.error_type, CASE c.status WHEN 'error'
        THEN 'unspecified' ELSE '' END), count(*)
    FROM connections c JOIN users u ON u.id = c.member GROUP BY 1, 3, 4, 5
    """,
    """
    INSERT INTO counts (target_id, count, a, b, c, value)
    SELECT u.target_id, 'transitions', x.provider, x.kind, coalesce(x.error_type, ''), count(*)
    FROM transitions x JOIN users u ON u.id = x.member GROUP BY 1, 3, 4, 5
    """,
    "VACUUM (ANALYZE)",
)


def fill(url: str, *, users: int, now: datetime, digest: bytes = b"another answer  ", target: str = TARGET) -> None:
    """Fill an empty database at head with ``users`` of three connections each, seen once, a fiftieth in error.

    They are due evenly over the 15 minutes after ``now``; ``digest`` is that of the answer that they were seen in.
    """
    given = {"target": target, "users": users, "now": now, "digest": digest}
    with psycopg.connect(url, autocommit=True) as connection:
        for step in STEPS:
            connection.execute(step, given if "%(" in step else None)

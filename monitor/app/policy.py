"""The alert policy that a configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.policy import Policy, Severity, flapping_rule, incident_rule

if TYPE_CHECKING:
    from datetime import timedelta

    from monitor.config import Config


def alert_policy(config: Config, *, interval: timedelta | None = None) -> Policy:
    """Return the policy; how long alerts wait for others depends on the poll interval, its own or another one."""
    alerts = config.alerts
    flapping, incident = alerts.flapping, alerts.incident
    return Policy(
        severities={each: Severity(word) for each, word in alerts.severities.items()},
        provider_severities={
            provider: {each: Severity(word) for each, word in words.items()}
            for provider, words in alerts.provider_severities.items()
        },
        confirm_for=alerts.confirm_for,
        confirm_for_error_types=alerts.confirm_for_error_types,
        resource_lost=Severity(alerts.resource_lost),
        user_gone=Severity(alerts.user_gone),
        unknown_status=Severity(alerts.unknown_status),
        statuses={each: Severity(word) for each, word in alerts.statuses.items()},
        flapping=None
        if flapping is None
        else flapping_rule(
            transitions=flapping.transitions,
            within=flapping.within,
            interval=interval or config.poll.interval,
        ),
        incident=None
        if incident is None
        else incident_rule(
            min_users=incident.min_users,
            min_share=incident.min_share,
            within=incident.within,
            interval=interval or config.poll.interval,
        ),
    )

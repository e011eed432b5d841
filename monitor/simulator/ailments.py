"""Which errors connections come down with, how often, and what the vendor says of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from monitor.simulator.catalogue import Auth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.simulator.catalogue import Provider

SHARES: Final[Mapping[Auth, Mapping[str, int]]] = MappingProxyType(
    {
        Auth.OAUTH: MappingProxyType(
            {
                "token_refresh_failed": 50,
                "deregistered_per_provider": 30,
                "required_scopes_not_granted": 7,
                "user_not_found": 6,
                "webhook_registration_failed": 4,
                "unknown": 3,
            }
        ),
        Auth.PASSWORD: MappingProxyType(
            {
                "provider_credential_error": 70,
                "provider_password_expired": 18,
                "user_not_found": 8,
                "unknown": 4,
            }
        ),
        Auth.EMAIL: MappingProxyType({"deregistered_per_provider": 60, "user_not_found": 30, "unknown": 10}),
        Auth.SDK: MappingProxyType({"deregistered_per_provider": 80, "unknown": 20}),
    }
)
"""Relative to each other within one kind of provider."""

_MESSAGES: Final = MappingProxyType(
    {
        "token_refresh_failed": "{name} has refused to refresh the access token (invalid_grant).",
        "webhook_registration_failed": "Could not subscribe to the push notifications of {name} (HTTP 409).",
        "user_not_found": "{name} reports that the user account does not exist or has been closed.",
        "deregistered_per_provider": "The user has deregistered the connection per notification from {name}.",
        "required_scopes_not_granted": "The user has not granted all scopes that {name} data requires.",
        "provider_credential_error": "{name} has rejected the stored credentials. The user has to enter them again.",
        "provider_password_expired": "{name} requires the user to rotate their password.",
        "unknown": "An unexpected error has occurred while communicating with {name}.",
    }
)


def message(error_type: str, provider: Provider) -> str:
    """Return the vendor's prose for ``error_type``, any word included."""
    return _MESSAGES.get(error_type, "The connection to {name} has failed.").format(name=provider.name)

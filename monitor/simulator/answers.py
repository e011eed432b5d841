"""The vendor's answers in the vendor's words: JSON of users and connections."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from monitor.simulator.catalogue import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from monitor.simulator.catalogue import Provider, Resource
    from monitor.simulator.people import Connection, User
    from monitor.simulator.world import World

UNKNOWN_USER: Final = "The user does not or no longer exists in this team"
DELETED_USER: Final = "You have scheduled this user for deletion."


def providers(user: User) -> bytes:
    """Return the body of ``GET /v2/user/providers/{user_id}``."""
    return f'{{"providers":[{",".join(map(_row, user.connections.values()))}]}}'.encode()


def users(page: Iterable[User], *, team_id: str, total: int, offset: int, limit: int) -> dict[str, Any]:
    """Return the body of ``GET /v2/user``."""
    return {"users": [_user(user, team_id) for user in page], "total": total, "offset": offset, "limit": limit}


def metrics(world: World) -> dict[str, Any]:
    """Return the body of ``GET /v2/user/metrics``."""
    connections, errored = world.users.counts()
    return {
        "team_id": world.team_id,
        "number_of_users": world.users.present,
        "number_of_connected_sources": connections,
        "number_of_errored_connected_sources": errored,
        "number_of_connected_sources_by_week": [],
        "number_of_ordered_tests": 0,
    }


def _row(row: Connection) -> str:
    head, tail = _frame(row.provider)
    identity = "null" if row.external_user_id is None else f'"{row.external_user_id}"'
    return (
        f'{head}"created_on":"{_time(row.created_on, row)}","status":{json.dumps(row.status)},'
        f'"external_user_id":{identity},"error_details":{_details(row)},'
        f"{tail}{_availability(row.provider, row.denied)}}}"
    )


def _details(row: Connection) -> str:
    if row.failure is None:
        return "null"
    return json.dumps(
        {
            "error_type": row.failure.error_type,
            "error_message": row.failure.message,
            "errored_at": _time(row.failure.errored_at, row),
        }
    )


def _time(moment: datetime, row: Connection) -> str:
    text = moment.isoformat()
    return text.replace("+00:00", "Z") if row.zulu else text


@cache
def _frame(provider: Provider) -> tuple[str, str]:
    """Return what is the same in each row of ``provider``: the beginning, and the key before the resources."""
    named = json.dumps({"name": provider.name, "slug": provider.slug, "logo": provider.logo})
    return f"{named[:-1]},", '"resource_availability":'


@cache
def _availability(provider: Provider, denied: frozenset[str]) -> str:
    return json.dumps({each.name: _resource(each, denied) for each in provider.resources})


def _resource(resource: Resource, denied: frozenset[str]) -> dict[str, Any]:
    lost = not denied.isdisjoint(resource.required)
    return {
        "status": "unavailable" if lost else "available",
        "scope_requirements": _grants(resource, denied) if resource.stated else None,
    }


def _grants(resource: Resource, denied: frozenset[str]) -> dict[str, dict[str, list[str]]]:
    return {
        "user_granted": {
            "required": [scope for scope in resource.required if scope not in denied],
            "optional": [scope for scope in resource.optional if scope not in denied],
        },
        "user_denied": {
            "required": [scope for scope in resource.required if scope in denied],
            "optional": [scope for scope in resource.optional if scope in denied],
        },
    }


_SOURCES: Final = {each.slug: {"name": each.name, "slug": each.slug, "logo": each.logo} for each in PROVIDERS}


def _user(user: User, team_id: str) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "team_id": team_id,
        "client_user_id": user.client_user_id,
        "created_on": user.created_on.isoformat(),
        "connected_sources": [
            {"provider": _SOURCES[slug], "created_on": _time(row.created_on, row), "source": _SOURCES[slug]}
            for slug, row in user.connections.items()
        ],
        "fallback_time_zone": None,
        "fallback_birth_date": None,
        "ingestion_start": None,
        "ingestion_end": None,
    }

"""What can be asked of the simulator: by a scenario's timeline and over HTTP, in the same words."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from monitor.simulator.words import KNOWN_STATUSES, Do, Endpoint, Fault

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> float:
    """Read ``250ms``, ``10s``, ``5m``, ``1h`` or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 250ms, 10s, 5m, or seconds")
    return float(match[1]) * _UNITS[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(seconds)]
Share = Annotated[float, Field(ge=0, le=1)]
UserKey = Annotated[int, Field(ge=0, strict=True)] | UUID
"""A user's id, or its number in the world."""


class Part(BaseModel):
    """A piece of a scenario or of a control request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


_TARGETED: Final = frozenset({"user_id", "user", "provider"})
_TAKES: Final = {
    Do.BREAK: _TARGETED | {"error_type", "details"},
    Do.CHANGE_ERROR: _TARGETED | {"error_type", "details"},
    Do.COME_BACK: _TARGETED | {"error_type"},
    Do.LOSE_RESOURCE: _TARGETED | {"resource"},
    Do.REGAIN_RESOURCE: _TARGETED | {"resource"},
    Do.SET_STATUS: _TARGETED | {"status"},
    Do.DELETE_USER: frozenset({"user_id", "user"}),
    Do.DELETE_USERS: frozenset({"share"}),
    Do.RESTORE_USER: frozenset({"user_id", "user"}),
    Do.NEW_USER: frozenset[str](),
    Do.WAVE: frozenset({"provider", "error_type", "share"}),
}


class Order(Part):
    """One change. What is left open (which user, provider, error, resource) chance decides."""

    do: Do
    user_id: UUID | None = None
    user: Annotated[int, Field(ge=0, strict=True)] | None = None
    provider: str | None = None
    error_type: str | None = None
    resource: str | None = None
    status: Annotated[str, Field(min_length=1)] = "reauthorizing"
    details: bool = True
    share: Share = 0.5

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        strangers = self.model_fields_set - {"do", "at"} - _TAKES.get(self.do, _TARGETED)
        if strangers:
            raise ValueError(f"{self.do} takes no {', '.join(sorted(strangers))}")
        if self.do is Do.WAVE and self.provider is None:
            raise ValueError("wave needs a provider")
        if self.status.lower() in KNOWN_STATUSES:
            raise ValueError("set_status needs a status that the vendor does not document")
        if self.user is not None and self.user_id is not None:
            raise ValueError("user and user_id exclude each other")
        return self


_NEEDS: Final = {Fault.STATUS: "status", Fault.MISSING_PROVIDER: "provider"}


class FaultOrder(Part):
    """One way in which answers go wrong, for a while (``for``, else until cleared), for some or all users."""

    do: Literal["fault"] = "fault"
    fault: Fault
    share: Share = 1.0
    lasts: Duration | None = Field(default=None, alias="for")
    users: tuple[UserKey, ...] | None = None
    user_share: Share | None = None
    endpoint: Endpoint | None = None
    delay: Duration = 1.0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None
    provider: str | None = None
    limit: Annotated[int, Field(ge=0)] = 10
    text: str | None = None
    size: Annotated[int, Field(ge=0, le=1 << 30)] = 2 << 20
    location: str = "https://elsewhere.invalid/v2/user"

    @model_validator(mode="after")
    def _needed_keys_are_there(self) -> Self:
        needed = _NEEDS.get(self.fault)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"fault {self.fault} needs a {needed}")
        return self


class ClearOrder(Part):
    """The end of one fault, or of all."""

    do: Literal["clear"]
    fault: Fault | None = None


class Step(Order):
    """A change at its time."""

    at: Duration


class FaultStep(FaultOrder):
    """A fault at its time."""

    at: Duration


class ClearStep(ClearOrder):
    """The end of faults at its time."""

    at: Duration

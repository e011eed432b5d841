"""The providers of the simulated world: names, resources, scopes, how often people link them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Auth(StrEnum):
    """How a user signs in at a provider; it decides which errors happen."""

    OAUTH = "oauth"
    PASSWORD = "password"  # noqa: S105 - the vendor's word for a kind of provider
    EMAIL = "email"
    SDK = "sdk"


class Identity(StrEnum):
    """What the provider's own id of a user looks like."""

    HEX = "hex"
    UUID = "uuid"
    NUMBER = "number"
    SHORT = "short"
    USERNAME = "username"
    EMAIL = "email"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of data of a provider and the scopes that it needs.

    Without scopes on the wire (``stated`` is false) ``required`` holds the resource's own name, so that it can
    still be withdrawn.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    stated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One source of data that a user can link. ``weight`` is relative to the other providers."""

    slug: str
    name: str
    auth: Auth
    identity: Identity
    weight: int
    resources: tuple[Resource, ...]

    @property
    def logo(self) -> str:
        """Where the vendor keeps the picture."""
        return f"https://storage.googleapis.com/vital-assets/{self.slug}.png"


def _scoped(**resources: str) -> tuple[Resource, ...]:
    """Read ``name="required required ? optional"``."""
    found = []
    for name, scopes in resources.items():
        required, _, optional = scopes.partition("?")
        found.append(Resource(name=name, required=tuple(required.split()), optional=tuple(optional.split())))
    return tuple(found)


def _plain(names: str) -> tuple[Resource, ...]:
    return tuple(Resource(name=name, required=(name,), stated=False) for name in names.split())


def _oauth(slug: str, name: str, identity: Identity, weight: int, /, **resources: str) -> Provider:
    return Provider(
        slug=slug, name=name, auth=Auth.OAUTH, identity=identity, weight=weight, resources=_scoped(**resources)
    )


def _password(slug: str, name: str, identity: Identity, weight: int, resources: str) -> Provider:
    return Provider(
        slug=slug, name=name, auth=Auth.PASSWORD, identity=identity, weight=weight, resources=_plain(resources)
    )


def _sdk(slug: str, name: str, weight: int, resources: str) -> Provider:
    return Provider(
        slug=slug, name=name, auth=Auth.SDK, identity=Identity.NONE, weight=weight, resources=_plain(resources)
    )


PROVIDERS: Final = (
    _oauth(
        "garmin",
        "Garmin",
        Identity.HEX,
        20,
        activity="daily",
        sleep="daily ? spo2Daily",
        body="bodyComposition",
        workouts="activities ? workoutImport",
        heartrate="daily",
    ),
    _oauth(
        "fitbit",
        "Fitbit",
        Identity.SHORT,
        18,
        activity="activity",
        sleep="sleep ? heartrate oxygen_saturation respiratory_rate",
        body="weight",
        workouts="activity ? location",
        profile="profile",
        heartrate="heartrate",
    ),
    _oauth(
        "oura",
        "Oura",
        Identity.UUID,
        14,
        activity="daily",
        sleep="daily ? spo2Daily",
        workouts="workout",
        heartrate="heartrate",
        profile="personal ? email",
    ),
    Provider(
        slug="freestyle_libre",
        name="Freestyle Libre",
        auth=Auth.EMAIL,
        identity=Identity.EMAIL,
        weight=8,
        resources=_plain("glucose"),
    ),
    _oauth("dexcom_v3", "Dexcom", Identity.UUID, 9, glucose="egv", device="device ? calibration"),
    _oauth(
        "whoop_v2",
        "WHOOP",
        Identity.NUMBER,
        10,
        sleep="read:sleep ? read:recovery",
        activity="read:cycles",
        workouts="read:workout",
        body="read:body_measurement",
        profile="read:profile",
    ),
    _oauth(
        "withings",
        "Withings",
        Identity.NUMBER,
        9,
        body="user.metrics",
        weight="user.metrics",
        blood_pressure="user.metrics",
        activity="user.activity",
        sleep="user.activity ? user.sleepevents",
    ),
    _password("abbott_libreview", "Abbott LibreView", Identity.EMAIL, 8, "glucose device"),
    _sdk("apple_health_kit", "Apple HealthKit", 16, "activity sleep body workouts heartrate steps hrv blood_oxygen"),
    _sdk("health_connect", "Health Connect", 8, "activity sleep body workouts heartrate steps"),
    _oauth(
        "strava",
        "Strava",
        Identity.NUMBER,
        10,
        workouts="activity:read_all",
        profile="profile:read_all ? profile:write",
    ),
    _oauth(
        "polar",
        "Polar",
        Identity.NUMBER,
        6,
        activity="accesslink.read_all",
        sleep="accesslink.read_all",
        workouts="accesslink.read_all",
    ),
    _password("eight_sleep", "Eight Sleep", Identity.EMAIL, 4, "sleep heartrate"),
    _password("peloton", "Peloton", Identity.USERNAME, 5, "workouts profile"),
    _sdk("samsung_health", "Samsung Health", 5, "activity sleep steps heartrate"),
    _oauth("ultrahuman", "Ultrahuman", Identity.EMAIL, 3, sleep="ring_data", activity="ring_data", glucose="cgm_data"),
    _password("kardia", "KardiaMobile", Identity.USERNAME, 2, "electrocardiogram heartrate"),
    _oauth("google_fit", "Google Fit", Identity.NUMBER, 3, activity="fitness.activity.read", body="fitness.body.read"),
)

BY_SLUG: Final = {provider.slug: provider for provider in PROVIDERS}

"""One Junction team: where it is and with which key it is asked."""

import ssl
from datetime import timedelta
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.address import JunctionAddress, ProxyAddress, is_loopback
from monitor.config.duration import Interval
from monitor.config.expectation import expected
from monitor.config.place import PREFIXES, TRAP, URLS, Environment, Place, Region, prefix_of
from monitor.config.secret import Key, KeyFile
from monitor.config.section import Section
from monitor.config.serving import File


class Target(Section):
    """One Junction team; exactly one of api_key and api_key_file says with which key it is asked."""

    # In the order of validation: region and environment are held against the key and base_url.
    api_key: Key | None = None
    """The team's key; in api_key_file it stays out of this file and can be rotated while the monitor runs."""

    api_key_file: KeyFile | None = Field(default=None, validate_default=True)
    """The path of a file with nothing but the team's key; it is read again when it changes."""

    base_url: JunctionAddress | None = None
    """Overrides region and environment, for a proxy or a simulator; https://, and http:// only to loopback."""

    proxy: ProxyAddress | None = None
    """The http:// or https:// URL of a proxy for this target's requests; the environment's proxies are ignored."""

    ca_file: File | None = None
    """The path of a file of PEM certificates of authorities that are trusted beside the system's; read at the start."""

    region: Region | None = Field(default=None, validate_default=True)
    """Where the team lives; null reads it off the key's prefix."""

    environment: Environment | None = Field(default=None, validate_default=True)
    """Which of the team's two worlds; null reads it off the key's prefix (pk_ is production, sk_ is sandbox)."""

    max_requests_per_second: Annotated[float, Field(ge=0.001, le=1_000_000, allow_inf_nan=False)] = 50
    """The most requests a second to this target, shared by all replicas; 0.001 or more."""

    discover: bool = False
    """Whether to register every user that the target lists, not only those that were added by hand."""

    discover_interval: Interval = timedelta(hours=1)
    """How often the target's list of users is read where discover is true; a duration of 1s or more."""

    @field_validator("api_key_file", mode="before")
    @classmethod
    def _exactly_one_key(cls, key: object, info: ValidationInfo) -> object:
        if "api_key" in info.data and (key is None) == (info.data["api_key"] is None):
            got = "neither" if key is None else "both"
            raise expected("exactly one of api_key and api_key_file", got=got, of_section=True)
        return key

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, path: str | None) -> str | None:
        if path is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
            except OSError:  # ssl.SSLError is an OSError
                raise expected("a file of certificates in PEM", got=f"{path!r}: none in it") from None
        return path

    @field_validator("region", "environment")
    @classmethod
    def _as_the_key_says(cls, stated: str | None, info: ValidationInfo) -> str | None:
        key = info.data.get("api_key") or info.data.get("api_key_file")
        if key is None or "base_url" not in info.data or _is_simulated(info.data["base_url"]):
            return stated
        prefix = prefix_of(key.reveal())
        if prefix is None:
            return _stated(stated, info)
        read_off: str = getattr(PREFIXES[prefix], str(info.field_name))
        if stated is not None and stated != read_off:
            raise expected(f"{read_off}, as the key starts with {prefix} ({TRAP})")
        return stated if info.data["base_url"] else read_off

    def key(self) -> str:
        """Return the key as it is now."""
        secret = self.api_key or self.api_key_file
        assert secret is not None  # noqa: S101 - validation saw to it
        return secret.reveal()

    @property
    def url(self) -> str:
        """The address that requests start with, without a slash at its end."""
        if self.base_url is not None:
            return self.base_url
        assert self.environment is not None  # noqa: S101 - validation saw to it
        assert self.region is not None  # noqa: S101 - validation saw to it
        return URLS[Place(self.environment, self.region)]


def _is_simulated(base_url: str | None) -> bool:
    return base_url is not None and is_loopback(base_url)


def _stated(stated: str | None, info: ValidationInfo) -> str | None:
    if stated is None and info.data["base_url"] is None:
        raise expected(f"a value, as the key starts with none of {', '.join(PREFIXES)}")
    return stated

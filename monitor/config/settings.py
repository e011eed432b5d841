"""The settings: every key, its unit, its limits and its default."""

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from monitor.config.address import (
    DEFAULT_DATABASE,
    DatabaseAddress,
    DatabaseFile,
    WebAddress,
    database_address,
    is_sqlite,
)
from monitor.config.duration import Duration, Interval, PollInterval, Timeout
from monitor.config.expectation import expected
from monitor.config.secret import Key, KeyFile, SecretFile
from monitor.config.section import STRICT, Section
from monitor.config.serving import Http
from monitor.config.sink import LOG, Sink, SinkName
from monitor.config.target import Target
from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["info", "warning", "critical", "none"]

SEVERITIES: Final[dict[str, Severity]] = {
    "token_refresh_failed": "warning",
    "webhook_registration_failed": "critical",
    "user_not_found": "warning",
    "deregistered_per_provider": "info",
    "required_scopes_not_granted": "warning",
    "provider_credential_error": "warning",
    "provider_password_expired": "warning",
    "unknown": "warning",
    "unspecified": "warning",
}
KNOWN_STATUSES: Final = ("connected", "error", "paused")
NO_TARGET: Final = (
    "expected a target: set JUNCTION_API_KEY to a team's key, or name one: targets.NAME.api_key_file: PATH"
)


class Poll(Section):
    """How users are polled."""

    interval: PollInterval = timedelta(minutes=15)
    """Every active user is polled once in each interval, spread evenly over it; a duration from 1s to 30d."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    """The most requests in flight, per process."""

    timeout: Timeout = timedelta(seconds=15)
    """The most time one request may take, from start to last byte; a duration of 10m or less."""

    max_body_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 1 << 20
    """The longest answer that is read, in bytes; a longer one is malformed."""

    gone_interval: Interval = timedelta(days=1)
    """How often a user is polled who is gone or whose id is invalid, in case of a return; a duration."""

    believe_absence_after: Duration = timedelta(days=1)
    """After how long an absence is believed while a whole target is implausible; a duration."""


class Flapping(Section):
    """When a connection is unstable: one alert in place of many."""

    transitions: Annotated[int, Field(ge=1, le=1000)] = 4
    """How many transitions of one connection are still many alerts; one more and it is unstable."""

    within: Interval = timedelta(hours=1)
    """Within what time; it is stable again when it was quiet for as long."""


class IncidentRule(Section):
    """When a wave of one error type at one provider is one alert; all of it must hold."""

    min_users: Annotated[int, Field(ge=2, le=1_000_000_000)] = 5
    """The fewest users."""

    min_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The least share of the target's connections at this provider, above 0 up to 1."""

    within: Interval = timedelta(minutes=15)
    """Within what time; an incident is over when nobody joined it for as long, or when all have healed."""


def _empty(given: object) -> object:
    return {} if given is None else given


def _only_unknown_statuses(given: "dict[str, Severity]") -> "dict[str, Severity]":
    for each in KNOWN_STATUSES:
        if each in given:
            raise expected("a status other than connected, error and paused", got=repr(each))
    return given


class Alerts(Section):
    """What becomes of errors."""

    severities: Annotated[
        dict[str, Severity],
        BeforeValidator(_empty),
        AfterValidator(lambda given: SEVERITIES | given),
    ] = Field(default_factory=lambda: dict(SEVERITIES), json_schema_extra={"default": {**SEVERITIES}})
    """How loud an error type is, laid over the defaults; a type that is not listed is a warning, none is no alert."""

    provider_severities: Annotated[dict[str, dict[str, Severity]], BeforeValidator(_empty)] = Field(
        default_factory=dict, json_schema_extra={"default": {}}
    )
    """By provider and error type, laid over severities; the error type any stands for every other one."""

    unknown_status: Severity = "warning"
    """The severity of a status that is not connected, error or paused; none is no alert."""

    statuses: Annotated[dict[str, Severity], BeforeValidator(_empty), AfterValidator(_only_unknown_statuses)] = Field(
        default_factory=dict, json_schema_extra={"default": {}}
    )
    """The same by status, laid over unknown_status."""

    confirm_for: Duration = timedelta(0)
    """How long an error must have lasted before its alert fires; a duration."""

    confirm_for_error_types: Annotated[dict[str, Duration], BeforeValidator(_empty)] = Field(
        default_factory=dict, json_schema_extra={"default": {}}
    )
    """The same by error type, laid over confirm_for: a terminal error needs no confirmation."""

    resource_lost: Severity = "none"
    """How loud it is that a connection no longer gives one of its resources; none is no alert."""

    user_gone: Severity = "none"
    """How loud it is that Junction no longer knows a user; none is no alert."""

    flapping: Flapping | None = Field(
        default_factory=Flapping, json_schema_extra={"default": {"transitions": 4, "within": "1h"}}
    )
    """When a connection is unstable; null: never."""

    incident: IncidentRule | None = Field(
        default_factory=IncidentRule,
        json_schema_extra={"default": {"min_users": 5, "min_share": 0.05, "within": "15m"}},
    )
    """When a wave of one error type at one provider is one alert; null: never."""

    runbook_base_url: WebAddress | None = None
    """Where your runbooks are: an alert's runbook_url is this, a slash, the error type, and .md. Null: no link."""

    sinks: Annotated[dict[SinkName, Sink], BeforeValidator(lambda given: {} if given is None else given)] = Field(
        default_factory=dict, json_schema_extra={"default": {}}
    )
    """Where alerts are told beside the log, each under a name of your own: a lower-case letter, then a-z, 0-9 and _."""

    @property
    def sink_names(self) -> tuple[str, ...]:
        """The names of all sinks, that of the log first."""
        return (LOG, *self.sinks)


class Database(Section):
    """Where everything is remembered."""

    url: Annotated[DatabaseAddress, Field(repr=False)] = DEFAULT_DATABASE
    """sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE."""

    url_file: DatabaseFile | None = None
    """The path of a file with nothing but that address, in place of url: it keeps the password out of this file."""

    auto_migrate: bool | None = None
    """Whether to bring the schema up to date at start; null: yes on SQLite, no elsewhere."""

    @property
    def migrates(self) -> bool:
        """Whether the schema is brought up to date at start."""
        return is_sqlite(self.address) if self.auto_migrate is None else self.auto_migrate

    @field_validator("url_file")
    @classmethod
    def _at_most_one_address(cls, file: SecretFile | None, info: ValidationInfo) -> SecretFile | None:
        if file is not None and info.data.get("url", DEFAULT_DATABASE) != DEFAULT_DATABASE:
            raise expected("at most one of url and url_file", got="both", of_section=True)
        return file

    @cached_property
    def address(self) -> str:
        """The address of the database, wherever it was given; of a file, what it held when it was first asked for."""
        return self.url if self.url_file is None else database_address(self.url_file.reveal())


class Retention(Section):
    """How long what is past is kept. The current state, open alerts and running totals are kept for ever."""

    snapshots: Interval = timedelta(days=90)
    """How long a snapshot is kept after it was superseded; a duration."""

    transitions: Interval = timedelta(days=400)
    """How long transitions, resolved alerts and their notices are kept; a duration."""


class Privacy(Section):
    """How personal data is kept and logged; hash is HMAC-SHA256 and needs one of hash_key and hash_key_file."""

    external_user_id: Literal["drop", "hash", "plain"] = "drop"
    """What is kept of the account name at the provider, often an e-mail address."""

    client_user_id: Literal["drop", "hash", "plain"] = "plain"
    """What is stored and sent of your own name of a user, which Junction lists beside its id."""

    log_user_id: Literal["plain", "hash"] = "plain"
    """How a user id stands in the logs."""

    hash_key: Key | None = None
    """The key of the hashes; with another key the same id gives another hash."""

    hash_key_file: KeyFile | None = Field(default=None, validate_default=True)
    """A file with nothing but the key of the hashes; it is read again when it changes."""

    @field_validator("hash_key_file", mode="before")
    @classmethod
    def _one_key_where_needed(cls, key: object, info: ValidationInfo) -> object:
        if "hash_key" not in info.data:
            return key
        given = (key is not None) + (info.data["hash_key"] is not None)
        needed = "hash" in (info.data.get(each) for each in ("external_user_id", "client_user_id", "log_user_id"))
        if given > 1 or (needed and not given):
            got = "both" if given else "neither"
            raise expected("exactly one of hash_key and hash_key_file", got=got, of_section=True)
        return key

    def key(self) -> str:
        """Return the key of the hashes as it is now; only where something is hashed, or one was given."""
        secret = self.hash_key or self.hash_key_file
        assert secret is not None  # noqa: S101 - validation saw to it
        return secret.reveal()


class Log(Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important level that is logged."""

    format: Literal["auto", "json", "console"] = "auto"
    """JSON Lines, or lines for people; auto is console on a terminal and json elsewhere."""


class Config(BaseSettings):
    """The settings of the monitor. Every key has a default but the key of a target."""

    model_config = STRICT

    targets: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], Target] = Field(default_factory=dict)
    """The Junction teams to watch, each under a name of your own: a lower-case letter, then a-z, 0-9 and _."""

    poll: Poll = Field(default_factory=Poll)
    """How users are polled."""

    alerts: Alerts = Field(default_factory=Alerts)
    """What becomes of errors."""

    database: Database = Field(default_factory=Database)
    """Where everything is remembered."""

    retention: Retention = Field(default_factory=Retention)
    """How long what is past is kept."""

    privacy: Privacy = Field(default_factory=Privacy, validate_default=True)
    """How personal data is kept and logged."""

    http: Http = Field(default_factory=Http)
    """Where metrics and health are served."""

    log: Log = Field(default_factory=Log)
    """What is logged and how."""

    _file: str | None = PrivateAttr(default=None)

    @field_validator("privacy")
    @classmethod
    def _a_key_where_a_sink_hashes(cls, privacy: Privacy, info: ValidationInfo) -> Privacy:
        alerts = info.data.get("alerts")
        hashing = [name for name, each in alerts.sinks.items() if each.user_id == "hash"] if alerts else []
        if hashing and privacy.hash_key is None and privacy.hash_key_file is None:
            wanted = f"exactly one of hash_key and hash_key_file, as alerts.sinks.{hashing[0]}.user_id is hash"
            raise expected(wanted, got="neither")
        return privacy

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing from the process by itself: :func:`monitor.config.load` says where values come from."""
        return (init_settings,)

    def came_from(self, file: str | None) -> None:
        """Remember the file, for faults that show only when a command wants more than there is."""
        self._file = file

    def require_targets(self) -> "Mapping[str, Target]":
        """Return the targets.

        Raises:
            ConfigurationError: there are none; the fault says what to do.
        """
        if not self.targets:
            raise ConfigurationError([f"{self._file or 'environment'}: targets: {NO_TARGET}"])
        return self.targets

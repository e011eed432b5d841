"""Where alerts are told beside the log: webhooks and Alertmanagers."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from monitor.config.address import WebAddress
from monitor.config.duration import Interval, Timeout
from monitor.config.expectation import expected
from monitor.config.secret import Key, KeyFile, SigningKeyFiles, SigningKeys
from monitor.config.section import Section

LOG: Final = "log"
"""The sink that is always there."""


class WebhookSink(Section):
    """A receiver of signed POSTs, by the scheme of Standard Webhooks; exactly one of secret and secret_file."""

    type: Literal["webhook"]
    """webhook: a JSON document for each notice, signed."""

    url: WebAddress
    """The address that is posted to."""

    secret: SigningKeys | None = None
    """What is signed with: whsec_ and 24 to 64 bytes in base64; during a rotation a list of two, and both sign."""

    secret_file: SigningKeyFiles | None = Field(default=None, validate_default=True)
    """The path of a file with nothing but the secret, read again when it changes; during a rotation a list of two."""

    timeout: Timeout = timedelta(seconds=10)
    """The most time one request may take, from start to last byte; a duration of 10m or less."""

    give_up_after: Interval = timedelta(days=3)
    """How long delivery of a notice is tried before it is given up; a duration."""

    max_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = 60
    """The most notices a minute, of all replicas together; what is over is told in one summary. Null: no limit."""

    user_id: Literal["plain", "hash"] | None = None
    """How a user id stands in what is sent; null: as privacy.log_user_id says."""

    @field_validator("secret_file", mode="before")
    @classmethod
    def _exactly_one_secret(cls, secret: object, info: ValidationInfo) -> object:
        if "secret" in info.data and (secret is None) == (info.data["secret"] is None):
            got = "neither" if secret is None else "both"
            raise expected("exactly one of secret and secret_file", got=got, of_section=True)
        return secret

    def keys(self) -> tuple[str, ...]:
        """Return the secrets as they are now."""
        secrets = self.secret or self.secret_file
        assert secrets is not None  # noqa: S101 - validation saw to it
        return secrets.reveal()


class AlertmanagerSink(Section):
    """An Alertmanager, or several that are one cluster; at most one of bearer_token and bearer_token_file."""

    type: Literal["alertmanager"]
    """alertmanager: its API, version 2; grouping, silences and routing stay there."""

    urls: Annotated[list[WebAddress], Field(min_length=1)]
    """The address of each Alertmanager, without /api/v2/alerts; each is sent everything, and one is enough."""

    bearer_token: Key | None = None
    """What is shown to a proxy before it; bearer_token_file keeps it out of this file."""

    bearer_token_file: KeyFile | None = Field(default=None, validate_default=True)
    """The path of a file with nothing but that token; it is read again when it changes."""

    timeout: Timeout = timedelta(seconds=10)
    """The most time one request may take, from start to last byte; a duration of 10m or less."""

    give_up_after: Interval = timedelta(days=3)
    """How long delivery of a notice is tried before it is given up; a duration."""

    resend_every: Interval = timedelta(minutes=1)
    """How often all that fires is sent again, so that an Alertmanager that forgot knows it again; a duration."""

    user_id: Literal["plain", "hash"] | None = None
    """How a user id stands in what is sent; null: as privacy.log_user_id says."""

    @field_validator("bearer_token_file", mode="before")
    @classmethod
    def _at_most_one_token(cls, token: object, info: ValidationInfo) -> object:
        if token is not None and info.data.get("bearer_token") is not None:
            raise expected("at most one of bearer_token and bearer_token_file", got="both", of_section=True)
        return token

    def key(self) -> str | None:
        """Return the token as it is now, None where there is none."""
        token = self.bearer_token or self.bearer_token_file
        return None if token is None else token.reveal()


def _not_the_log(name: str) -> str:
    if name == LOG:
        raise expected("another name: log is the sink that is always there", got="log")
    return name


Sink = Annotated[WebhookSink | AlertmanagerSink, Field(discriminator="type")]
SinkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_not_the_log)]

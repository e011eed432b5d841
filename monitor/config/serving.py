"""Where metrics and health are served, under which certificate, and to whom."""

import re
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from monitor.config.address import Host
from monitor.config.expectation import expected
from monitor.config.secret import Key, KeyFile
from monitor.config.section import Section


def _readable(path: str) -> str:
    if not path:
        raise expected("the path of a file", got="an empty one")
    try:
        with Path(path).open("rb"):
            return path
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "no path"
        raise expected("a readable file", got=f"{path!r}: {reason}") from None


def _user_name(name: str) -> str:
    if not re.fullmatch(r"[!-9;-~]{1,255}", name):
        raise expected("a name of printable ASCII without white space and colon", got="another")
    return name


File = Annotated[str, AfterValidator(_readable)]
UserName = Annotated[str, AfterValidator(_user_name)]


class Http(Section):
    """Where metrics and health are served; with a token or a password, /metrics is for those who show one of them."""

    host: Host = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every one of IPv4 that this machine has, :: every one."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """The TCP port to listen on; 0 takes a free one."""

    tls_cert_file: File | None = None
    """The path of a file with a certificate in PEM, and those that vouch for it; with it https:// alone is served."""

    tls_key_file: File | None = Field(default=None, validate_default=True)
    """The path of a file with its private key in PEM, without a passphrase; both are read again when they change."""

    bearer_token: Key | None = None
    """What `Authorization: Bearer` must say for /metrics; bearer_token_file keeps it out of this file."""

    bearer_token_file: KeyFile | None = Field(default=None, validate_default=True)
    """The path of a file with nothing but that token; it is read again when it changes."""

    username: UserName | None = None
    """The name that `Authorization: Basic` must say for /metrics; exactly one of password and password_file with it."""

    password: Key | None = None
    """The password that goes with username; password_file keeps it out of this file."""

    password_file: KeyFile | None = Field(default=None, validate_default=True)
    """The path of a file with nothing but that password; it is read again when it changes."""

    @field_validator("tls_key_file")
    @classmethod
    def _belong_together(cls, key_file: str | None, info: ValidationInfo) -> str | None:
        if "tls_cert_file" not in info.data:
            return key_file
        cert_file = info.data["tls_cert_file"]
        if cert_file is None and key_file is None:
            return None
        if cert_file is None or key_file is None:
            raise expected("both or none of tls_cert_file and tls_key_file", got="one", of_section=True)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            wanted = "tls_cert_file with a certificate and tls_key_file with its key, without a passphrase, in PEM"
            raise expected(wanted, got="others", of_section=True) from None
        return key_file

    @field_validator("bearer_token_file", mode="before")
    @classmethod
    def _at_most_one_token(cls, token: object, info: ValidationInfo) -> object:
        if token is not None and info.data.get("bearer_token") is not None:
            raise expected("at most one of bearer_token and bearer_token_file", got="both", of_section=True)
        return token

    @field_validator("password_file", mode="before")
    @classmethod
    def _one_password_for_a_name(cls, password: object, info: ValidationInfo) -> object:
        if not {"username", "password"} <= info.data.keys():
            return password
        given = (password is not None) + (info.data["password"] is not None)
        if info.data["username"] is None and given:
            raise expected("username beside password or password_file", got="none", of_section=True)
        if info.data["username"] is not None and given != 1:
            got = "both" if given else "neither"
            raise expected("exactly one of password and password_file beside username", got=got, of_section=True)
        return password

    def bearer(self) -> str | None:
        """Return the token as it is now, None where there is none."""
        token = self.bearer_token or self.bearer_token_file
        return None if token is None else token.reveal()

    def basic(self) -> tuple[str, str] | None:
        """Return the name and the password as it is now, None where there are none."""
        password = self.password or self.password_file
        return None if self.username is None or password is None else (self.username, password.reveal())

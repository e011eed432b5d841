"""Addresses: of Junction, of runbooks, of the database."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import AfterValidator, BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from monitor.config.expectation import expected
from monitor.config.secret import MASK, Secret, SecretFile, in_file
from monitor.config.wording import described

DEFAULT_DATABASE: Final = "sqlite:///monitor.db"
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+")
_POSTGRES: Final = ("postgresql", "postgres")
_DATABASES: Final = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_AUTHORITY: Final = re.compile(r"[a-z]+://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_ONE_OF_SEVERAL: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65535


def is_loopback(url: str) -> bool:
    """Return whether ``url`` leads to this machine and never leaves it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_sqlite(url: str) -> bool:
    """Return whether the database is a file of SQLite."""
    return url.startswith("sqlite:")


def masked(url: str) -> str:
    """Return a database's address without its password, wherever in it that stands."""
    if is_sqlite(url):
        return url
    scheme, _, _ = url.partition("://")
    login, hosts, rest = _authority(url)
    user, colon, _ = (login or "").partition(":")
    path, _, query = rest.partition("?")
    shown = "" if login is None else f"{user}{colon}{MASK if colon else ''}@"
    return f"{scheme}://{shown}{hosts}{path}{f'?{_masked_query(query)}' if query else ''}"


def _authority(url: str) -> tuple[str | None, str, str]:
    """Return the login (None without one), the hosts and what follows; urlsplit knows one host alone."""
    found = _AUTHORITY.fullmatch(url)
    return (found["login"], found["hosts"], found["rest"]) if found else (None, "", "")


def _masked_query(query: str) -> str:
    if "password" not in unquote(query).lower():
        return query
    pairs = parse_qsl(query, keep_blank_values=True)
    hidden = [(name, MASK if "password" in name.lower() else value) for name, value in pairs]
    return urlencode(hidden, safe="*/", quote_via=quote)


def _split(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """Return the parts of a plain address, None where it is not one.

    Spelt out because :func:`urlsplit` drops some characters and believes every host.
    """
    try:
        parts = urlsplit(url)
        plain = all("!" <= letter <= "~" for letter in url) and _HOST.fullmatch(parts.hostname or "")
        fits = plain and parts.scheme in schemes and parts.port != 0
    except ValueError:
        return None
    return parts if fits else None


def _web_address(url: str) -> str:
    parts = _split(url, ("http", "https"))
    if parts is None:
        raise expected("an address such as https://HOST[:PORT][/PATH]", got="another form")
    if "@" in parts.netloc:
        raise expected("an address without a user name or password", got="one with")
    if "?" in url or "#" in url:
        raise expected("an address without ? and #", got="one with")
    return url.rstrip("/")


def _junction_address(url: str) -> str:
    address = _web_address(url)
    if urlsplit(address).scheme == "http" and not is_loopback(address):
        raise expected("https:// (http:// only to loopback: the key would travel in clear)", got="http://")
    return address


class ProxyURL(Secret):
    """The address of a proxy, whose user name and password are a secret."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The address without them."""
        parts = urlsplit(self.reveal())
        login, at, host = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{MASK if login else ''}{at}{host}"


def _proxy(url: object) -> Any:
    if isinstance(url, ProxyURL):
        return url
    parts = _split(url, ("http", "https")) if isinstance(url, str) else None
    if parts is None or parts.path.strip("/") or "?" in str(url) or "#" in str(url):
        shape = "an address such as http://HOST:PORT or https://USER:PASSWORD@HOST:PORT"
        raise expected(f"{shape}, special characters in it percent-encoded", got="another form")
    return ProxyURL(f"{parts.scheme}://{parts.netloc}")


def database_address(url: str) -> str:
    """Return a database's address with one of the two schemes that the store knows.

    Raises:
        PydanticCustomError: it is no such address; the text has nothing of it but its scheme.
    """
    scheme, found, rest = url.partition("://")
    if found and scheme == "sqlite":
        return _sqlite_address(url, rest)
    if found and scheme in _POSTGRES:
        return _postgres_address(f"postgresql://{rest}")
    named = bool(found) and re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", scheme)
    raise expected(_DATABASES, got=f"{scheme}://" if named else "another form")


def _sqlite_address(url: str, rest: str) -> str:
    path = rest.removeprefix("/").partition("?")[0]
    if not rest.startswith("/") or path in {"", ":memory:"}:
        raise expected("sqlite:///FILE (sqlite:////FILE from the root of the file system)", got="one without a file")
    return url


def _postgres_address(url: str) -> str:
    login, hosts, rest = _authority(url)
    if "," in hosts:
        _check_hosts(hosts, rest)
        first = _ONE_OF_SEVERAL.match(hosts)
        one = "" if first is None else first[0]
        _postgres_address(f"postgresql://{'' if login is None else f'{login}@'}{one}{rest}")
        return url
    try:
        parts = urlsplit(url)
        sound = url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        sound = False
    if not sound or "@" in f"{parts.path}{parts.query}{parts.fragment}" or parts.fragment:
        raise expected(f"{_DATABASES}, special characters in it percent-encoded", got="another form")
    return url


def _check_hosts(hosts: str, rest: str) -> None:
    """Refuse several hosts that libpq would not take, or would read in another way than they are meant."""
    found = [_ONE_OF_SEVERAL.fullmatch(host) for host in hosts.split(",")]
    if not all(host and 0 < int(host["port"] or 1) <= _HIGHEST_PORT for host in found):
        raise expected("several hosts as HOST1:PORT1,HOST2:PORT2, the ports 1 to 65535 or left out", got="another form")
    if {"host", "port", "hostaddr"} & {name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)}:
        raise expected("hosts and ports in one place", got="some before the database and some after the ?")


def _in_file(path: object) -> Any:
    return in_file(path, _DATABASES, _is_database)


def _is_database(url: str) -> None:
    try:
        database_address(url)
    except ValueError:
        raise ValueError("another form") from None


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]{1,253}", name):
        raise expected("the name or address of a host", got=described(name))
    return name


Host = Annotated[str, AfterValidator(_host)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
JunctionAddress = Annotated[str, AfterValidator(_junction_address)]
ProxyAddress = Annotated[
    InstanceOf[ProxyURL],
    BeforeValidator(_proxy),
    PlainSerializer(lambda proxy: proxy.shown, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^https?://[!-~]+$"}),
]
DatabaseAddress = Annotated[str, AfterValidator(database_address), PlainSerializer(masked, return_type=str)]
DatabaseFile = Annotated[
    InstanceOf[SecretFile],
    BeforeValidator(_in_file),
    PlainSerializer(lambda file: str(file.path), return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]

"""The one kind of request that is made, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY: Final = httpx.ByteStream(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port; ``authority`` is what the Host header says."""

    scheme: str
    host: str
    port: int
    authority: str

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        """Return the origin of a URL."""
        port = url.port or (443 if url.scheme == "https" else 80)
        return cls(scheme=url.scheme, host=url.raw_host.decode(), port=port, authority=url.netloc.decode())


class Get(httpx.Request):
    """A GET whose URL and headers become httpx's own objects only when something looks at them.

    Making them costs more than sending the request, and the transport sends ``encoded``. ``httpx.MockTransport`` and
    others look.
    """

    def __init__(self, origin: Origin, target: str, fields: Mapping[str, str]) -> None:
        """Keep what is asked for.

        Args:
            origin: whom to ask.
            target: path and query, percent-encoded.
            fields: the headers but for Host.
        """
        self.method = "GET"
        self.origin = origin
        self.target = target
        self.fields = fields
        self.extensions = {}
        self.stream = EMPTY

    @property
    def encoded(self) -> bytes:
        """The request as it is sent."""
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.fields.items()])
        return f"GET {self.target} HTTP/1.1\r\nhost: {self.origin.authority}\r\n{fields}\r\n".encode("latin-1")

    def __getattr__(self, name: str) -> Any:
        if name == "url":
            self.url = httpx.URL(f"{self.origin.scheme}://{self.origin.authority}{self.target}")
            return self.url
        if name == "headers":
            self.headers = httpx.Headers(self.fields)
            return self.headers
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Get({self.target!r})"


class Got(httpx.Response):
    """A response whose headers become httpx's own object only when something looks at them."""

    def __init__(self, status: int, raw: list[tuple[bytes, bytes]], stream: httpx.AsyncByteStream) -> None:
        self.status_code = status
        self.raw = raw
        self.stream = stream
        self.extensions = {}
        self.history = []
        self.is_closed = False
        self.is_stream_consumed = False
        self.next_request = None
        self.default_encoding = "utf-8"
        self._request = None
        self._num_bytes_downloaded = 0

    def __getattr__(self, name: str) -> Any:
        if name == "headers":
            self.headers = httpx.Headers(self.raw)
            return self.headers
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Got({self.status_code})"


def as_get(request: httpx.Request) -> Get:
    """Return a GET of httpx's own client as ours.

    Raises:
        httpx.UnsupportedProtocol: it is another kind of request.
    """
    if isinstance(request, Get):
        return request
    if request.method != "GET":
        message = "only GET is sent"
        raise httpx.UnsupportedProtocol(message)
    fields = {name: value for name, value in request.headers.items() if name != "host"}
    return Get(Origin.of(request.url), request.url.raw_path.decode(), fields)

"""The one kind of request that is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY: Final = httpx.ByteStream(b"")


class Get(httpx.Request):
    """A GET whose URL and headers become httpx's own objects only when something looks at them.

    Parsing them costs half as much as sending the request, and the transport sends ``address`` and ``fields`` as they
    are. ``httpx.MockTransport`` and others look.
    """

    def __init__(self, address: str, fields: Mapping[str, str]) -> None:
        self.method = "GET"
        self.address = address
        self.fields = fields
        self.extensions = {}
        self.stream = EMPTY

    def __getattr__(self, name: str) -> Any:
        if name == "url":
            self.url = httpx.URL(self.address)
            return self.url
        if name == "headers":
            self.headers = httpx.Headers(self.fields)
            return self.headers
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Get({self.address!r})"

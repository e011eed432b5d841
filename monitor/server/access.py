"""Who may read the metrics."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REALM = 'realm="junction-monitor"'


class Access:
    """Credentials by the scheme in which they are shown (RFC 6750, RFC 7617); whoever shows one of them may read.

    They are asked for at each request, so that a rotated one holds from then on.
    """

    def __init__(
        self,
        *,
        bearer: Callable[[], str | None] = lambda: None,
        basic: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        """Keep where credentials come from: a token; a user's name and password."""
        self._bearer = bearer
        self._basic = basic

    def admits(self, authorization: Sequence[bytes]) -> bool:
        """Return whether a request with these ``Authorization`` headers may read."""
        wanted = self._credentials()
        if not wanted:
            return True
        if len(authorization) != 1:
            return False
        scheme, _, shown = authorization[0].partition(b" ")
        given = scheme.lower() + b" " + shown.strip()
        # All are compared, each in the same time whatever was guessed right of it.
        return sum(hmac.compare_digest(given, each) for each in wanted) > 0

    @property
    def challenge(self) -> str:
        """What ``WWW-Authenticate`` says to those who showed nothing that will do."""
        schemes = [*(["Bearer"] if self._bearer() else []), *(["Basic"] if self._basic() else [])]
        return ", ".join(f"{each} {REALM}" for each in schemes)

    def _credentials(self) -> list[bytes]:
        token, pair = self._bearer(), self._basic()
        return [
            *([b"bearer " + token.encode()] if token else []),
            *([b"basic " + b64encode(":".join(pair).encode())] if pair else []),
        ]

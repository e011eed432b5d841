"""The certificate that is shown, taken over when it is renewed."""

from __future__ import annotations

import ssl
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

LOOK_AGAIN_AFTER: Final = 1.0
"""Seconds for which the files are taken to be what they were."""


class Certificate:
    """A certificate and its key in two files; what cannot be read, or does not belong together, changes nothing."""

    def __init__(
        self,
        cert_file: Path,
        key_file: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        border: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Read both; ``border`` keeps what a later look raises out of the handshake that it was made in.

        Raises:
            OSError: one cannot be read, or they do not belong together.
        """
        self._files = cert_file, key_file
        self._clock = clock
        self._border = border
        self._looked_at = clock()
        self._seen = self._identities()
        self.context = self._newest = self._read()
        """What to listen with: every handshake is given the certificate as it is by then."""
        self.context.sni_callback = self._hand_over

    def _hand_over(self, handshake: ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> None:
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN_AFTER:
            self._looked_at = now
            with self._border():
                self._look_again()
        handshake.context = self._newest

    def _look_again(self) -> None:
        try:
            seen = self._identities()
            if seen != self._seen:
                self._newest, self._seen = self._read(), seen
        except OSError:
            return  # half-way through a renewal: the last good pair stays, and the next look comes soon

    def _identities(self) -> list[tuple[int, int, int]]:
        found = [each.stat() for each in self._files]
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._files, password="")  # an empty one, so that nobody is asked for it
        return context

"""The TLS of every outgoing request: certificates are verified, TLS 1.2 or later is spoken.

``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name a private authority, the only thing that is taken from the environment.
A value that cannot be used is a fault of the configuration: with it no request would ever succeed.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from monitor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "SSL_CERT_FILE"
DIRECTORY: Final = "SSL_CERT_DIR"


def check_authorities() -> None:
    """Return where certificates can be verified, as :func:`client_context` does; for the start of the program."""
    if os.environ.get(FILE) or os.environ.get(DIRECTORY):
        client_context()


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return what servers are verified with: the system's authorities, and those in ``ca_file`` beside them.

    Raises:
        ConfigurationError: ``ca_file``, ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` cannot be used; the text names it and its
            path.
    """
    file, directory = os.environ.get(FILE), os.environ.get(DIRECTORY)
    # OpenSSL passes over a directory that is not there, and then trusts nobody. A file, where there is one, goes first.
    if directory and not file and not any(Path(each).is_dir() for each in directory.split(os.pathsep)):
        raise ConfigurationError([f"{DIRECTORY}: expected a directory of certificates, {directory} is none"])
    with _naming(FILE, file):
        context = httpx.create_ssl_context()
    if ca_file is not None:
        with _naming("ca_file", ca_file):
            context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _naming(setting: str, path: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        said = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigurationError([f"{setting}: expected a file of PEM certificates, {path}: {said}"]) from error

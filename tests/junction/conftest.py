from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what needs a loop on both kinds, for they fail in different ways."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh self-signed certificate for ``localhost``, its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = [
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        *["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        *["-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
    ]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as both:
        both.write(path.with_suffix(".crt").read_bytes())
    return path

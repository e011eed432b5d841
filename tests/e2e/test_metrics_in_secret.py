"""A daemon that serves under a certificate to those who show a token or a password, and a real Prometheus."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.e2e.oncall import free_port, running, value
from tests.e2e.processes import process, stand
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.tools

CALM = {"users": 5, "seed": 1, "changes": {"per_second": 0}}


JOBS: Final[Mapping[str, Any]] = {
    "token": {"authorization": {"credentials": "t0ken"}},
    "password": {"basic_auth": {"username": "prometheus", "password": "sesame"}},
    "nothing": {},
    "wrong": {"authorization": {"credentials": "t0kem"}},
}
"""The same daemon scraped by four that show something, or nothing, of themselves."""


def scraping(port: int, trusted: Path) -> dict[str, Any]:
    """Return the configuration of Prometheus."""
    each = {
        "scheme": "https",
        "tls_config": {"ca_file": str(trusted), "server_name": "localhost"},
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": name, **each, **credentials} for name, credentials in JOBS.items()],
    }


def test_prometheus_reads_with_what_it_shows(tmp_path: Path, sqlite_url: str, certificate: Path) -> None:
    """With the token or the password it does, else not; ``monitor health`` knows the certificate."""
    port, trusted = free_port(), certificate.with_suffix(".crt")
    (tmp_path / "token").write_text("t0ken\n")
    secured = {
        "HTTP__PORT": str(port),
        "HTTP__TLS_CERT_FILE": str(trusted),
        "HTTP__TLS_KEY_FILE": str(certificate),
        "HTTP__BEARER_TOKEN_FILE": str(tmp_path / "token"),
        "HTTP__USERNAME": "prometheus",
        "HTTP__PASSWORD": "sesame",
    }
    watch = f"127.0.0.1:{free_port()}"
    options = {"config.file": tmp_path / "p.yaml", "storage.tsdb.path": tmp_path / "p", "web.listen-address": watch}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(scraping(port, trusted)))
    with stand(tmp_path, sqlite_url, CALM) as stage:
        environ = {**stage.environ, **{f"MONITOR_{name}": each for name, each in secured.items()}}
        with process("run", cwd=tmp_path, environ=environ, log=tmp_path / "daemon.log"):
            started(tmp_path / "daemon.log")
            health = [sys.executable, "-m", "monitor", "health", "--ready"]
            subprocess.run(health, cwd=tmp_path, env=environ, check=True, capture_output=True)
            with running("prometheus", options, tmp_path, f"http://{watch}/-/ready"):
                assert seen_up(f"http://{watch}") == {"token": 1, "password": 1, "nothing": 0, "wrong": 0}


def seen_up(watch: str) -> dict[str, float | None]:
    """Return which jobs are up, once all were scraped."""
    until = time.monotonic() + 30
    while None in (found := {job: value(watch, f'up{{job="{job}"}}') for job in JOBS}).values():
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found

"""TLS to the database and a password file: what works, and the one line that says what does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.e2e.processes import findings, stand
from tests.postgres import CARELESS, hand_over, let_in, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.tools
PROGRAMS: Final = Path("/usr/lib/postgresql/15/bin")
PASSWORD: Final = "open sesame"
HBA: Final = """
host    all postgres 127.0.0.1/32 trust
hostssl all monitor  127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A database that takes its role only over TLS and with a password."""

    directory: Path
    port: int

    def url(self, **query: str) -> str:
        """Return the URL, with a trusted certificate and a good password file unless told otherwise."""
        given = {"sslmode": "verify-full", "sslrootcert": str(self.directory / "server.crt")}
        given |= {"passfile": str(self.directory / "pgpass")} | query
        words = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return f"postgresql://monitor@localhost:{self.port}/monitor?{words}"

    def run(self, *arguments: str, url: str) -> subprocess.CompletedProcess[str]:
        """Run the program with this database, and with nothing of ours in its environment."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "MONITOR_DATABASE__URL": url,
            "MONITOR_TARGETS__SIM__API_KEY": "sk_us_x",
            "MONITOR_TARGETS__SIM__BASE_URL": "http://127.0.0.1:9",
        }
        command = [sys.executable, "-m", "monitor", *arguments]
        return subprocess.run(
            command, cwd=self.directory, env=environ, capture_output=True, text=True, check=False, timeout=60
        )


def certify(directory: Path, name: str, host: str) -> None:
    """Make a self-signed certificate and its key."""
    command = [
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        *["-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"],
        *["-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt")],
    ]
    subprocess.run(command, check=True, capture_output=True)
    (directory / f"{name}.key").chmod(0o600)


@contextmanager
def serving(directory: Path, host: str) -> Iterator[Secured]:
    """Run PostgreSQL with TLS; its certificate is for ``host``."""
    if not PROGRAMS.is_dir():
        message = "PostgreSQL with TLS is not installed; Debian's package is postgresql-15"
        raise RuntimeError(message)
    certify(directory, "server", host)
    (directory / "hba.conf").write_text(HBA)
    hand_over(*(directory / each for each in ("server.key", "server.crt", "hba.conf")))
    files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "hba_file": "hba.conf"}
    settings = ("ssl=on", *(f"{name}={directory / file}" for name, file in files.items()), *CARELESS)
    with started(settings=settings, programs=PROGRAMS) as server:
        with psycopg.connect(server.admin_url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}'")
            for each in ("monitor", "lively"):
                admin.execute(f"CREATE DATABASE {each} OWNER monitor")
        port = make_url(server.admin_url).port
        assert port is not None
        passfile = directory / "pgpass"
        passfile.write_text(f"localhost:{port}:*:monitor:{PASSWORD}\n")
        passfile.chmod(0o600)
        yield Secured(directory=directory, port=port)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Give a server whose certificate is for its name."""
    with serving(let_in(tmp_path_factory.mktemp("secured")), "localhost") as server:
        server.run("db", "upgrade", url=server.url()).check_returncode()
        yield server


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says why; no secret and no traceback is in it."""
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert PASSWORD not in line
    return line


def test_it_works_with_a_verified_server_and_a_password_file(secured: Secured) -> None:
    """Migrations and questions alike."""
    added = secured.run("cohort", "add", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", url=secured.url())
    assert (added.returncode, added.stderr) == (0, "added 1 user to sim: 1 new, 0 known\n")
    status = secured.run("status", url=secured.url())
    assert status.returncode == 0
    assert status.stdout.startswith("users\tsim\t1\t")


def test_the_daemon_works_over_it(secured: Secured, tmp_path: Path) -> None:
    """What it finds is what was done, and it drains."""
    scenario = {"users": 20, "seed": 3, "changes": {"per_second": 4, "from": 1, "rest": 1, "until": "3s"}}
    url = secured.url().replace("/monitor?", "/lively?")
    with stand(tmp_path, url, scenario) as stage, stage.daemon() as daemon:
        time.sleep(6)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
        found = findings(stage)
    found.assert_exact()
    assert found.tally.found > 5


def test_the_address_is_accepted_and_shown(secured: Secured) -> None:
    """The file's name is no secret; a password in the address is masked."""
    assert secured.run("config", "check", url=secured.url()).returncode == 0
    assert "passfile=" in secured.run("config", "show", url=secured.url()).stdout
    with_password = secured.url().replace("monitor@", "monitor:open%20sesame@")
    assert "sesame" not in secured.run("config", "show", url=with_password).stdout


def test_a_server_that_nobody_vouches_for_is_refused(secured: Secured) -> None:
    """With another authority's certificate the password is not sent."""
    certify(secured.directory, "stranger", "localhost")
    line = refused(secured.run("status", url=secured.url(sslrootcert=str(secured.directory / "stranger.crt"))))
    assert "certificate verify failed" in line


def test_the_wrong_host_is_refused(secured: Secured) -> None:
    """A good certificate of somebody else does not help."""
    line = refused(secured.run("status", url=secured.url().replace("localhost:", "127.0.0.1:")))
    assert "127.0.0.1" in line


def test_a_connection_without_tls_is_refused(secured: Secured) -> None:
    """By the server: it says that there is no entry for one."""
    line = refused(secured.run("status", url=secured.url(sslmode="disable", sslrootcert="")))
    assert "no encryption" in line


def test_a_missing_password_file_is_told(secured: Secured) -> None:
    """By its name, with migrations and questions alike."""
    missing = secured.directory / "nowhere"
    for command in (["status"], ["db", "upgrade"]):
        line = refused(secured.run(*command, url=secured.url(passfile=str(missing))))
        assert line == f"monitor: password file {missing}: there is no such file"


def test_a_password_file_that_others_may_read_is_not_used(secured: Secured) -> None:
    """As libpq has it, which says so on a line of its own."""
    lax = Path(shutil.copy(secured.directory / "pgpass", secured.directory / "lax"))
    lax.chmod(0o644)
    for command in (["status"], ["db", "upgrade"]):
        line = refused(secured.run(*command, url=secured.url(passfile=str(lax))))
        assert line == f"monitor: password file {lax}: others may use it, and so it is not used; chmod 600 helps"


def test_a_wrong_password_is_told(secured: Secured) -> None:
    """By the server, without the password."""
    wrong = secured.directory / "wrong"
    wrong.write_text("*:*:*:*:nonsense\n")
    wrong.chmod(0o600)
    line = refused(secured.run("status", url=secured.url(passfile=str(wrong))))
    assert "password authentication failed" in line
    assert "nonsense" not in line

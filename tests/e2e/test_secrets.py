"""Secrets and personal data in everything that the program puts out, while all goes well and while nothing does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import httpx
import psycopg
import pytest
import yaml
from psycopg import sql
from sqlalchemy.engine import make_url

from monitor.cli.demo import children
from tests.chaos.hostile import answering
from tests.e2e.oncall import free_port
from tests.e2e.processes import process
from tests.e2e.test_log_blocked import metric, until
from tests.e2e.test_one_daemon import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY: Final = "sk_us_0penSesame0123456789"
PERSON: Final = "ann.smith@example.com"
SECRETS: Final = {
    "api": KEY,
    "webhook": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
    "alertmanager": "al3rtmanagerT0ken",
    "hash": "h4shKeyh4shKeyh4shKey",
    "metrics": "m3tricsT0ken",
    "password": "m3tricsPassw0rd",
}
DATABASE_PASSWORD: Final = "d4tabasePassw0rd"
USERS: Final = [UUID(f"6ba7b810-9dad-41d1-80b4-00c04fd430c{number}") for number in range(3)]


def answers() -> Callable[[], bytes]:
    """Return what shows a person with an account, well and in error in turns, and echoes the key now and then."""
    asked = count()

    def body() -> bytes:
        number = next(asked)
        status = "error" if number // len(USERS) % 2 else "connected"
        details = {"error_type": "token_refresh_failed", "error_message": "no"}
        row = {"slug": "fitbit", "status": status, "external_user_id": PERSON, "error_details": details}
        return json.dumps({"providers": [row]} if number % 7 else {"detail": f"bad key {KEY}"}).encode()

    return body


def configuration(place: Path, junction: str, port: int, database: str, external_user_id: str) -> Path:
    """Write a configuration that uses every secret there is; those of sinks that cannot be reached among them."""
    for name, secret in SECRETS.items():
        (place / f"{name}.secret").write_text(secret)
    (place / "database.secret").write_text(database)
    nowhere = f"http://127.0.0.1:{free_port()}"
    file = place / "config.yaml"
    document: dict[str, Any] = {
        "targets": {
            "acme": {
                "api_key_file": f"{place}/api.secret",
                "base_url": junction,
                "region": "us",
                "environment": "sandbox",
                "max_requests_per_second": 1000,
            }
        },
        "poll": {"interval": "1s", "timeout": "1s"},
        "alerts": {
            "flapping": None,
            "sinks": {
                "pager": {"type": "webhook", "url": f"{nowhere}/hook", "secret_file": f"{place}/webhook.secret"},
                "am": {
                    "type": "alertmanager",
                    "urls": [nowhere],
                    "bearer_token_file": f"{place}/alertmanager.secret",
                },
            },
        },
        "database": {"url_file": f"{place}/database.secret", "auto_migrate": True},
        "privacy": {
            "external_user_id": external_user_id,
            "log_user_id": "hash",
            "hash_key_file": f"{place}/hash.secret",
        },
        "http": {
            "port": port,
            "bearer_token_file": f"{place}/metrics.secret",
            "username": "prometheus",
            "password_file": f"{place}/password.secret",
        },
        "log": {"level": "debug", "format": "json"},
    }
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Name each database in turn; that of PostgreSQL with a password in its address."""
    if request.param == "sqlite":
        return sqlite_url
    url: str = request.getfixturevalue("postgres_url")
    return make_url(url).set(password=DATABASE_PASSWORD).render_as_string(hide_password=False)


def dump(database: str) -> str:
    """Return all that the database holds: a file to its last byte, a server's tables to their last row."""
    made = make_url(database)
    if made.get_backend_name() == "sqlite":
        files = Path(made.database or "").parent.glob("monitor.db*")
        return "".join(each.read_bytes().decode("latin-1") for each in files)
    with closing(psycopg.connect(database)) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        query = sql.SQL("SELECT t::text FROM {} t")
        found = [connection.execute(query.format(sql.Identifier(name))).fetchall() for (name,) in tables]
        return repr(found)


def said(place: Path, *arguments: str) -> str:
    """Return all that a command prints."""
    command = [sys.executable, "-m", "monitor", *arguments]
    done = subprocess.run(command, cwd=place, env={"PATH": ""}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def outputs(place: Path, port: int, daemon: subprocess.Popen[str]) -> Iterator[tuple[str, str]]:
    """Yield all that can be seen of a running daemon and asked of the command line."""
    proc = Path(f"/proc/{daemon.pid}")
    yield "ps", proc.joinpath("cmdline").read_text()
    yield "environment", proc.joinpath("environ").read_text()
    yield "children", subprocess.run(["ps", "axwwe"], capture_output=True, text=True, check=True).stdout
    shown = {"authorization": f"Bearer {SECRETS['metrics']}"}
    for path in ("metrics", "healthz", "readyz", "nowhere"):
        answer = httpx.get(f"http://127.0.0.1:{port}/{path}", headers=shown, trust_env=False)
        yield path, f"{answer.headers}{answer.text}"
    for words in (
        ("config", "show"),
        ("config", "check"),
        ("status",),
        ("status", "--json"),
        ("history", str(USERS[0]), "--json"),
        ("explain", str(USERS[0])),
        ("transitions", "--json"),
        ("alerts", "--all", "--json"),
        ("cohort", "list", "--json"),
        ("poll", str(USERS[0]), "--json"),
        ("status", "--nonsense"),
        ("history", "nobody"),
    ):
        yield " ".join(words), said(place, *words)


def work(place: Path, port: int) -> None:
    """Import a cohort and return once alerts wait for the sinks that cannot be reached."""
    (place / "users").write_text("\n".join(map(str, USERS)))
    assert "3" in said(place, "cohort", "import", "users")
    shown = {"authorization": f"Bearer {SECRETS['metrics']}"}
    until(lambda: metric(port, 'junction_monitor_alerts_undelivered{sink="pager"}', shown) > 2)
    until(lambda: metric(port, "junction_monitor_polls_total", shown) > 40)


def test_nothing_that_comes_out_holds_a_secret_or_a_person(tmp_path: Path, database: str) -> None:
    """Log at debug level, metrics, pages, commands, process table, crash output and database."""
    port, external_user_id = free_port(), "drop" if database.startswith("sqlite") else "hash"
    with answering(answers()) as junction:
        configuration(tmp_path, junction, port, database, external_user_id)
        with (
            (tmp_path / "stderr").open("w") as errors,
            process("run", cwd=tmp_path, environ={"PATH": ""}, log=tmp_path / "log", stderr=errors) as daemon,
        ):
            started(tmp_path / "log")
            work(tmp_path, port)
            seen = dict(outputs(tmp_path, port, daemon))
            daemon.send_signal(signal.SIGABRT)  # a crash
            daemon.wait(20)
    seen |= {name: (tmp_path / name).read_text() for name in ("log", "stderr")} | {"database": dump(database)}
    assert "connection.alert" in seen["log"]
    assert "fitbit" in seen["transitions --json"]
    assert "fitbit" in seen["database"]
    for where, text in seen.items():
        for secret in (*SECRETS.values(), DATABASE_PASSWORD, PERSON):
            assert secret not in text, f"{secret} in {where}"
    for each in map(str, USERS):
        assert each not in seen["log"]
        assert each not in seen["metrics"]


def test_erasing_a_user_leaves_no_byte_of_it(tmp_path: Path, database: str) -> None:
    """Not in any table, nor in a page of a file that nothing uses any more."""
    port = free_port()
    with answering(answers()) as junction:
        configuration(tmp_path, junction, port, database, "plain")
        with process("run", cwd=tmp_path, environ={"PATH": ""}, log=tmp_path / "log") as daemon:
            started(tmp_path / "log")
            work(tmp_path, port)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
    forms = [form for each in USERS for form in (str(each), each.hex, each.bytes.decode("latin-1"))]
    before = dump(database)
    assert PERSON in before
    assert any(each in before for each in forms)
    for each in USERS:
        assert "erased" in said(tmp_path, "cohort", "erase", str(each), "--yes")
    time.sleep(0.1)
    after = dump(database)
    assert PERSON not in after
    assert [each for each in forms if each in after] == []


def test_the_demonstration_gives_its_children_no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries it may have a real one in the environment."""
    for name in ("JUNCTION_API_KEY", "MONITOR_TARGETS__ACME__API_KEY"):
        monkeypatch.setenv(name, KEY)
    assert KEY not in children.environment("http://127.0.0.1:1", "sk_us_simulated", 1).values()

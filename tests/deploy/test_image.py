from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from monitor import __version__
from tests.deploy.image import ROOT, Images, done
from tests.e2e.oncall import free_port
from tests.e2e.processes import port_of, process

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.tools, pytest.mark.timeout(900)]
TAG: Final = "localhost/junction-monitor"
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"
MIB: Final = 1 << 20


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    """Build the image once for all tests here."""
    # Podman takes no longer a path than 50 characters.
    with TemporaryDirectory(prefix="images-", ignore_cleanup_errors=True) as place:
        made = Images(Path(place))
        made.bootstrap()
        made.make(TAG, REVISION)
        yield made
        done(*made.podman, "rm", "--all", "--force", "--time=0")


@pytest.fixture(scope="module")
def inside(images: Images) -> Iterator[list[str]]:
    """Start a container that only waits, and give the command that runs something in it."""
    options = ["--name=box", "--entrypoint=sleep"]
    with subprocess.Popen(images.command(TAG, "infinity", options=options)) as box:
        _until_it_is_there([*images.podman, "exec", "box", "true"])
        yield [*images.podman, "exec"]
        box.terminate()
        done(*images.podman, "rm", "--force", "--time=0", "box")


def shell(inside: list[str], script: str) -> str:
    """Return what a script prints inside."""
    return done(*inside, "box", "sh", "-c", script)


def test_two_builds_give_the_same_digest(images: Images) -> None:
    """With another tool, and nothing of the first build at hand."""
    images.build(f"{TAG}-again", REVISION)
    assert images.inspect(TAG, "{{.Digest}}") == images.inspect(f"{TAG}-again", "{{.Digest}}")


def test_it_says_what_it_is(images: Images) -> None:
    """The labels of the OCI, and the revision for the metric."""
    labels = json.loads(images.inspect(TAG, "{{json .Labels}}"))
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == REVISION
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert json.loads(images.inspect(TAG, "{{json .Config.Entrypoint}}")) == ["monitor"]
    assert images.inspect(TAG, "{{.Config.User}}") == "65532:65532"


def test_it_is_small_and_cannot_build_anything(images: Images, inside: list[str]) -> None:
    """Neither a compiler nor an installer, and a fraction of the base."""
    added = int(images.inspect(TAG, "{{.Size}}")) - int(images.inspect("localhost/base", "{{.Size}}"))
    assert added < 120 * MIB
    assert shell(inside, "command -v gcc cc make pip pip3 ensurepip git; ls /opt/monitor/bin | grep pip || true") == ""


def test_nothing_can_be_written_but_data(inside: list[str]) -> None:
    """Where a volume is; the monitor itself is root's."""
    writable = "find / -xdev -writable -not -path '/proc/*' -not -type l -not -path '/dev/*' 2>/dev/null | sort"
    assert set(shell(inside, writable).split()) <= {"/data", "/tmp", "/var/tmp", "/run/lock"}  # noqa: S108
    assert shell(inside, "touch /data/x /tmp/x 2>&1 || true").count("Read-only file system") == 2
    assert shell(inside, "id -u; id -g").split() == ["65532", "65532"]


def test_its_parts_are_listed_beside_it(inside: list[str]) -> None:
    """CycloneDX: what is installed is what is locked, and `make image` left the list in dist/."""
    listed = json.loads((ROOT / "dist" / "junction-monitor.cdx.json").read_text(encoding="utf-8"))
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "junction-connection-monitor"
    found = {each["name"].lower() for each in listed["components"]}
    assert {"apscheduler", "httpx", "sqlalchemy", "alembic", "prometheus-client", "structlog", "psycopg"} <= {
        each.replace("_", "-") for each in found
    }
    names = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    installed = set(shell(inside, f"/opt/monitor/bin/python -c '{names}'").split())
    assert found | {"junction-connection-monitor"} == installed


def test_it_runs_with_nothing_but_data(images: Images, tmp_path: Path) -> None:
    """The whole way: schema, cohort, daemon, health, metrics, history, and a drain at SIGTERM."""
    log, out = tmp_path / "simulator.log", tmp_path / "daemon.log"
    with process("simulate", "--port=0", "--users=20", cwd=tmp_path, environ={"PATH": ""}, log=log):
        port = free_port()
        options = ["--volume=data:/data", "--env=MONITOR_TARGETS__SIM__API_KEY=sk_us_simulated", "--name=monitor"]
        options += [f"--env=MONITOR_TARGETS__SIM__BASE_URL=http://127.0.0.1:{port_of(log)}"]
        options += [f"--env=MONITOR_HTTP__PORT={port}", "--env=MONITOR_POLL__INTERVAL=5s"]
        done(*images.command(TAG, "cohort", "sync", options=options))
        with out.open("w") as stdout, subprocess.Popen(images.command(TAG, options=options), stdout=stdout) as daemon:
            _until(f"http://127.0.0.1:{port}/metrics", 'junction_users_fresh{target="sim"} 20')
            assert f'revision="{REVISION}"' in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            for words in (["health"], ["health", "--ready"], ["status"]):
                done(*images.podman, "exec", "monitor", "monitor", *words)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0
    events = [json.loads(line)["event"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert (events[0], events[-1]) == ("monitor.started", "monitor.stopped")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("MONITOR_TARGETS__SIM__API_KEY_FILE=/run/secrets/key", "expected a readable file, got '/run/secrets/key'"),
        ("MONITOR_DATABASE__URL_FILE=/run/secrets/url", "URL_FILE: expected a readable file"),
        ("MONITOR_DATABASE__URL=sqlite:////srv/monitor.db", "must be there and writable"),
    ],
)
def test_what_is_missing_is_one_line_in_the_log(inside: list[str], setting: str, said: str) -> None:
    """On standard output too, where a collector of logs looks; the process ends with 2 or 1."""
    key = [] if "API_KEY" in setting else ["--env=JUNCTION_API_KEY=sk_us_1"]
    command = [*inside, f"--env={setting}", *key, "box", "monitor", "run"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode in {1, 2}
    (line,) = ended.stdout.splitlines()
    assert json.loads(line)["event"] == "monitor.refused"
    assert said in line


def test_the_recipe_names_this_version() -> None:
    """A build without arguments is labelled right."""
    assert f"ARG VERSION={__version__}\n" in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def _until_it_is_there(command: list[str], within: float = 60) -> None:
    until = time.monotonic() + within
    while subprocess.run(command, capture_output=True, check=False).returncode:
        assert time.monotonic() < until, "the container did not start"
        time.sleep(0.3)


def _until(url: str, words: str, within: float = 60) -> None:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if words in httpx.get(url, trust_env=False).text:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"{url} never showed {words}")

"""compose.yaml, as far as it can be tried without the images of others: each file by who reads it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import promql_parser
import pytest
import yaml

from deploy.generate import files
from monitor import simulator
from monitor.config import load
from tests.deploy.boards import NAMES, board
from tests.e2e.oncall import free_port

DEPLOY: Final = Path(__file__).parents[2] / "deploy"


def read(name: str) -> Any:
    """Return what a file under deploy/ says."""
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def services() -> dict[str, Any]:
    """Return the services by name."""
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


def test_everything_that_is_mounted_is_there() -> None:
    """A path that is not would become an empty folder."""
    for each in services().values():
        for mount in each.get("volumes", []):
            source = mount.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), mount


@pytest.mark.parametrize("name", ["monitor-a", "monitor-b", "db-upgrade"])
def test_the_daemons_settings_are_taken(name: str) -> None:
    """As the monitor reads them; both ask one database, each on a port of its own."""
    config = load(None, {key: str(value) for key, value in services()[name]["environment"].items()})
    assert config.database.address == "postgresql://monitor@postgres/monitor"
    assert config.targets["demo"].discover
    assert config.http.port == (9465 if name == "monitor-b" else 9464)


def test_the_scenario_is_taken_and_has_a_wave_and_a_revoked_key() -> None:
    """As the simulator reads it."""
    scenario = simulator.load(DEPLOY / "compose" / "scenario.yaml")
    assert len(scenario.timeline) == 2


def test_grafana_has_the_sources_that_the_dashboards_ask_for() -> None:
    """By their kinds."""
    wanted = {
        each["query"] for name in NAMES for each in board(name)["templating"]["list"] if each["type"] == "datasource"
    }
    assert {each["type"] for each in read("compose/datasources.yaml")["datasources"]} == wanted


def test_the_routes_are_those_of_the_example() -> None:
    """Only the receivers' addresses differ."""
    for path, text in files.routes():
        assert path.read_text(encoding="utf-8") == text, "run `make generate`"
    routes, example = read("compose/alertmanager.yaml"), read("alertmanager/alertmanager.yaml")
    assert [each["name"] for each in routes.pop("receivers")] == [each["name"] for each in example.pop("receivers")]
    assert routes == example


@pytest.mark.tools
def test_prometheus_and_alertmanager_take_their_configurations(tmp_path: Path) -> None:
    """By their own checkers, with the rules beside."""
    for name in ("compose/prometheus.yaml", "prometheus/recording.rules.yaml", "prometheus/alerting.rules.yaml"):
        shutil.copy(DEPLOY / name, tmp_path)
    for command in (
        ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")],
        ["amtool", "check-config", str(DEPLOY / "compose" / "alertmanager.yaml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_receiver_prints_who_is_told_what() -> None:
    """A line for each alert in a notification."""
    port = free_port()
    command = [sys.executable, str(DEPLOY / "compose" / "receiver.py"), str(port)]
    alert = {"status": "firing", "labels": {"alertname": "Watchdog"}, "annotations": {"summary": "All is well."}}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(transport=transport, trust_env=False) as http:
            answer = http.post(f"http://127.0.0.1:{port}/dead-mans-switch", json={"alerts": [alert]})
        receiver.terminate()
        assert receiver.stdout is not None
        assert answer.status_code == 204
        assert receiver.stdout.read() == "dead-mans-switch: firing Watchdog: All is well.\n"


def test_the_adapter_counts_a_user_once() -> None:
    """What prometheus-adapter fills in leaves an expression of Prometheus."""
    ((rule,),) = (read("prometheus/adapter.yaml")["rules"]["external"],)
    filled = rule["metricsQuery"].replace("<<.Series>>", "junction_monitor_overdue_users")
    promql_parser.parse(filled.replace("<<.LabelMatchers>>", 'namespace="health"'))
    assert "sum(max by (" in filled

"""What stands around the daemons where people are on call: a real Prometheus and a real Alertmanager, as deployed.

Both run with the files under ``deploy/``; only time is shortened, and receivers lead to loopback.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULES: Final = ("recording.rules.yaml", "alerting.rules.yaml")
DURATION: Final = re.compile(r"\b(\d+)(m|h|d)\b")
SECONDS: Final = {"m": 1, "h": 60, "d": 24 * 60}
"""A minute takes a second here, so that an hour passes in one."""
JOB: Final = "junction-monitor"
UP_WITHIN: Final = 30.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def alertmanager(place: Path, receivers: str) -> Iterator[str]:
    """Run an Alertmanager with the example configuration; every receiver NAME leads to ``receivers``/NAME."""
    place.mkdir()
    (place / "alertmanager.yaml").write_text(yaml.safe_dump(_shortened_routes(receivers)))
    url = f"127.0.0.1:{free_port()}"
    options = {
        "config.file": place / "alertmanager.yaml",
        "storage.path": place / "data",
        "web.listen-address": url,
        "cluster.listen-address": "",
        "log.level": "error",
    }
    with running("prometheus-alertmanager", options, place, f"http://{url}/-/ready"):
        yield f"http://{url}"


@contextmanager
def prometheus(place: Path, daemons: Sequence[str], alertmanager_url: str) -> Iterator[str]:
    """Run a Prometheus that scrapes the daemons (``host:port``) every second, with the deployed rules."""
    place.mkdir()
    (place / "prometheus.yaml").write_text(yaml.safe_dump(_scraping(daemons, alertmanager_url)))
    for name in RULES:
        (place / name).write_text(yaml.safe_dump(_shortened_rules(DEPLOY / "prometheus" / name)))
    url = f"127.0.0.1:{free_port()}"
    options = {
        "config.file": place / "prometheus.yaml",
        "storage.tsdb.path": place / "data",
        "web.listen-address": url,
        "log.level": "error",
    }
    with running("prometheus", options, place, f"http://{url}/-/ready"):
        yield f"http://{url}"


def value(url: str, expression: str) -> float | None:
    """Return what an expression that yields one sample, or none, says now."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, trust_env=False)
    found = answer.raise_for_status().json()["data"]["result"]
    return float(found[0]["value"][1]) if found else None


@contextmanager
def running(name: str, options: dict[str, Any], place: Path, ready: str) -> Iterator[None]:
    """Run a program until the block ends; it is up once ``ready`` answers."""
    program = shutil.which(name)
    assert program is not None, f"needs {name}"
    with (place / "log").open("w") as log:
        process = subprocess.Popen([program, *(f"--{key}={said}" for key, said in options.items())], stderr=log)
        try:
            _await(process, ready, place / "log")
            yield
        finally:
            process.terminate()
            process.wait(20)


def _await(process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    until = time.monotonic() + UP_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(ready, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _scraping(daemons: Sequence[str], alertmanager_url: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": list(RULES),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": list(daemons)}]}],
    }


def _shortened_rules(file: Path) -> dict[str, Any]:
    rules: dict[str, Any] = yaml.safe_load(file.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule |= {key: _shortened(rule[key]) for key in ("for", "keep_firing_for") if key in rule}
            rule["expr"] = _shortened(rule["expr"])
    return rules


def _shortened(duration: str) -> str:
    return DURATION.sub(lambda found: f"{int(found[1]) * SECONDS[found[2]]}s", duration)


def _shortened_routes(receivers: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yaml").read_text())
    _shorten(config["route"])
    config["receivers"] = [
        {"name": each["name"], "webhook_configs": [{"url": f"{receivers}/{each['name']}", "send_resolved": True}]}
        for each in config["receivers"]
    ]
    return config


def _shorten(route: dict[str, Any]) -> None:
    route |= {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
    for each in route.get("routes", []):
        _shorten(each)

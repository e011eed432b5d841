from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.test_rules import rules

pytestmark = pytest.mark.tools
CONFIG: Final = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yaml"
RECEIVERS: Final = {"critical": "pager", "warning": "tickets", "info": "log"}


def amtool(*arguments: str) -> str:
    """Return what amtool prints; it must be content."""
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def routed(**labels: str) -> str:
    """Return the receivers of an alert."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool("config", "routes", "test", f"--config.file={CONFIG}", *pairs).strip()


def test_the_real_checker_has_nothing_to_say() -> None:
    """Of the example as it stands."""
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize("alert", list(rules("alert")), ids=lambda each: each["alert"])
def test_every_rule_goes_where_its_severity_says(alert: dict[str, Any]) -> None:
    """The watchdog to the dead man's switch, and nowhere else."""
    severity = alert["labels"]["severity"]
    expected = "dead-mans-switch" if alert["alert"] == "Watchdog" else RECEIVERS[severity]
    assert routed(alertname=alert["alert"], severity=severity) == expected


@pytest.mark.parametrize(("severity", "receiver"), RECEIVERS.items())
@pytest.mark.parametrize("name", ["JunctionConnectionAlert", "JunctionIncident"])
def test_what_the_monitor_sends_goes_where_its_severity_says(name: str, severity: str, receiver: str) -> None:
    """Members of an incident are info: a log, nobody's page."""
    assert routed(alertname=name, severity=severity, target="acme", provider="oura") == receiver


def test_every_alert_that_is_named_exists() -> None:
    """A rule that is renamed leaves no inhibition behind that does nothing."""
    known = {each["alert"] for each in rules("alert")} | {"JunctionIncident", "JunctionConnectionAlert"}
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            assert _matched(matcher, known), matcher


def _matched(matcher: str, known: set[str]) -> bool:
    """Return whether each alternative of a matcher on the name is the name of an alert."""
    pattern = matcher.split('"')[1]
    found = {name for name in known if re.fullmatch(pattern, name)}
    alternatives = len(re.findall(r"\|", pattern)) + 1
    return len(found) >= alternatives

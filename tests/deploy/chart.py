"""The chart as Helm renders it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.generate import manifests

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm"
CASES: Final = sorted((CHART / "ci").glob("*.yaml"))


def rendered(values: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the manifests that come of these values."""
    return [each for each in yaml.safe_load_all(manifests.rendered(CHART, values, *arguments)) if each]


def refused(*settings: str) -> str:
    """Return what Helm says to these settings, which it must not take."""
    command = ["helm", "template", "x", str(CHART), *(f"--set={each}" for each in settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr


def one(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only manifest of this kind."""
    (only,) = [each for each in found if each["kind"] == kind]
    return only


def containers(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every container of the Deployment, those that come first included."""
    pod = one("Deployment", found)["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]

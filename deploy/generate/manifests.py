"""Plain manifests: what ``helm template`` renders, without what only Helm needs."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "junction-monitor"
PLAIN: Final = {
    "sqlite": "ci/sqlite-values.yaml",
    "postgresql": "ci/postgresql-values.yaml",
    "monitoring": "ci/existing-claim-values.yaml",
}
"""Which values each manifest is rendered with."""
MONITORING: Final = ("podmonitor", "prometheusrule")
HELMS_OWN: Final = re.compile(r"^ +(helm\.sh/[a-z-]+|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
EMPTY: Final = re.compile(r"^ +annotations:\n(?= {0,2}\S)", re.MULTILINE)
HEADS: Final = {
    "sqlite": """\
# One pod on SQLite, with a volume. The key comes first:
#
#   kubectl create secret generic junction-monitor --from-literal=api-key.default=pk_us_…
#   kubectl apply --filename sqlite.yaml
""",
    "postgresql": """\
# Two replicas on a PostgreSQL of yours. The secrets come first:
#
#   kubectl create secret generic junction-monitor --from-literal=api-key.default=pk_us_… \\
#     --from-literal=database-url=postgresql://USER:PASSWORD@HOST:5432/DATABASE
#   kubectl apply --filename postgresql.yaml
""",
    "monitoring": """\
# For the Prometheus Operator, beside either of the others: what is scraped, and the rules.
""",
}


def rendered(chart: Path, values: Path, *arguments: str) -> str:
    """Return what the chart renders; ``helm`` must be on the PATH.

    Raises:
        subprocess.CalledProcessError: Helm refused; its words are in ``stderr``.
    """
    command = ["helm", "template", NAME, str(chart), "--namespace", NAME, "--values", str(values), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own words


def plain(name: str, chart: Path, values: Path) -> str:
    """Return the manifest ``name`` with a head that says how it is applied."""
    shown = [f"--show-only=templates/{each}.yaml" for each in MONITORING] if name == "monitoring" else []
    unwanted = [] if shown else ["--set=dashboards.enabled=false"]
    text = HELMS_OWN.sub("", rendered(chart, values, *shown, *unwanted))
    made = "# Rendered from deploy/helm by `make generate`; change it there.\n"
    return HEADS[name] + made + EMPTY.sub("", text)

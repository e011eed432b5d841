"""Which files are generated, and what belongs in each."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.generate import manifests, values
from deploy.generate.dashboards import BOARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY: Final = Path(__file__).parents[1]
CHART: Final = DEPLOY / "helm"
RECEIVER: Final = re.compile(r"(- url: )https://([a-z-]+)\.example\.com/[a-z]+")


def generated() -> Iterator[tuple[Path, str]]:
    """Yield every generated file and its text; one may be made of those before it, as they were written."""
    return chain(schema(), boards(), routes(), plain())


def schema() -> Iterator[tuple[Path, str]]:
    """Yield the schema of the chart's values."""
    yield CHART / "values.schema.json", json.dumps(values.schema(), indent=2, ensure_ascii=False) + "\n"


def boards() -> Iterator[tuple[Path, str]]:
    """Yield the dashboards as Grafana imports them."""
    for name, board in BOARDS.items():
        text = JSONEncoder(sort_keys=True, indent=2).encode(board().build())
        yield DEPLOY / "grafana" / f"{name}.json", text + "\n"


def routes() -> Iterator[tuple[Path, str]]:
    """Yield Alertmanager's configuration for compose.yaml: the example, its receivers made one that prints."""
    example = (DEPLOY / "alertmanager" / "alertmanager.yaml").read_text(encoding="utf-8")
    told = RECEIVER.sub(r"\1http://receiver:8080/\2", example)
    head = "# Made of deploy/alertmanager/alertmanager.yaml by `make generate`; change it there.\n"
    yield DEPLOY / "compose" / "alertmanager.yaml", head + told.split("\n", 2)[2]


def plain() -> Iterator[tuple[Path, str]]:
    """Yield the manifests that the chart renders, for those without Helm."""
    for name, values_file in manifests.PLAIN.items():
        yield DEPLOY / "kubernetes" / f"{name}.yaml", manifests.plain(name, CHART, CHART / values_file)

"""The example file is the settings reference: complete, and right about the defaults."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitor.config import load, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
NO_DEFAULTS = {"api_key", "region", "environment", "secret"}
"""What differs by target or sink; their comments say ``Default: null``."""
REQUIRED = {("pager", "type"), ("pager", "url"), ("alertmanager", "type"), ("alertmanager", "urls")}
"""What of a sink must be given; their comments say so."""

NAMES = {"acme_us:", "pager:", "alertmanager:"}


def documented() -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every key of the schema with what the schema says about it."""
    whole = schema()
    team = next(iter(whole["properties"]["targets"]["patternProperties"].values()))
    sections: dict[tuple[str, ...], dict[str, Any]] = {("targets", "acme_us"): team}
    sections |= {
        ("alerts", "sinks", "pager"): {"$ref": "#/$defs/WebhookSink"},
        ("alerts", "sinks", "alertmanager"): {"$ref": "#/$defs/AlertmanagerSink"},
    }
    sections |= {(name,): each for name, each in whole["properties"].items() if name != "targets"}
    for path, section in sections.items():
        for key, about in whole["$defs"][section["$ref"].removeprefix("#/$defs/")]["properties"].items():
            yield (*path, key), about


def written(path: tuple[str, ...]) -> Any:
    """Return what the example has at ``path``."""
    found = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for key in path:
        found = found[key]
    return found


KEYS = dict(documented())


def test_the_example_loads() -> None:
    """A copy of it with a real key is a working configuration."""
    assert load(EXAMPLE, {}).require_targets()["acme_us"].url == "https://api.us.junction.com"


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_every_key_is_in_the_example(path: tuple[str, ...]) -> None:
    """The value it is shown with is its default."""
    shown = written(path)
    given = path[-1] in NO_DEFAULTS or path[-2:] in REQUIRED or path == ("alerts", "sinks")
    assert given or shown == KEYS[path]["default"]


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_every_key_has_a_description_and_a_default(path: tuple[str, ...]) -> None:
    """The JSON Schema is enough for an editor to explain a key."""
    assert KEYS[path]["description"].endswith(".")
    assert ("default" in KEYS[path]) != (path[-2:] in REQUIRED)


def test_every_key_of_the_example_is_preceded_by_a_comment() -> None:
    """Each has its line of why right above it."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        explained = line.lstrip().startswith("#") or not line.strip() or line.strip() in NAMES
        assert explained or above.lstrip().startswith("#"), line

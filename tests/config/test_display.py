"""The effective settings, and the schema of what may be set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from monitor.config import load, schema, show

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "JUNCTION_API_KEY": "pk_eu_0123456789",
    "MONITOR_POLL__INTERVAL": "900",
    "MONITOR_ALERTS__RUNBOOK_BASE_URL": "https://runbooks.example.com/",
}


def test_what_is_shown_is_what_holds() -> None:
    """Defaults filled in, what the key tells filled in, durations as people write them."""
    shown = yaml.safe_load(show(load(None, ENVIRON)))
    assert shown["targets"]["default"]["environment"] == "production"
    assert shown["poll"]["interval"] == "15m"
    assert shown["alerts"]["runbook_base_url"] == "https://runbooks.example.com"
    assert shown["targets"]["default"]["max_requests_per_second"] == 50


def test_what_is_shown_can_be_loaded_and_shown_again(tmp_path: Path) -> None:
    """But for the keys, which are masked, it is the configuration itself."""
    shown = show(load(None, ENVIRON | {"MONITOR_TARGETS__ACME__MAX_REQUESTS_PER_SECOND": "40"} | KEYS))
    path = tmp_path / "config.yaml"
    path.write_text(shown, encoding="utf-8")
    assert show(load(path, {})) == shown


KEYS = {"MONITOR_TARGETS__ACME__API_KEY": "sk_us_0123456789", "MONITOR_PRIVACY__HASH_KEY": "correct-horse"}


def test_the_schema_gives_durations_as_people_write_them() -> None:
    """A text with a pattern or a number of seconds, the default in words."""
    interval = schema()["$defs"]["Poll"]["properties"]["interval"]
    assert interval["default"] == "15m"
    assert [form["type"] for form in interval["anyOf"]] == ["string", "number"]


def test_the_schema_refuses_unknown_keys() -> None:
    """In every section, as the program does."""
    whole = schema()
    assert not [name for name, each in whole["$defs"].items() if each["additionalProperties"] is not False]
    assert whole["additionalProperties"] is False

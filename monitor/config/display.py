"""The effective settings as YAML, and what may be set as JSON Schema."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import yaml
from pydantic.json_schema import GenerateJsonSchema

from monitor.config.duration import shown
from monitor.config.settings import Config

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def show(config: Config) -> str:
    """Return the effective settings as YAML that can be loaded again, but for the keys: those are masked."""
    return yaml.safe_dump(_plain(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the settings, with a description, the limits and the default of every key."""
    return {"$schema": DIALECT, **Config.model_json_schema(schema_generator=_AsWritten)}


class _AsWritten(GenerateJsonSchema):
    """Gives defaults in the form in which people write them."""

    def encode_default(self, dft: Any) -> Any:
        return shown(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _plain(value: Any) -> Any:
    """Return whole numbers as they are written, without a fraction."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value

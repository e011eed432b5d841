"""A section of the settings."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, model_validator
from pydantic_settings import SettingsConfigDict

STRICT: Final = SettingsConfigDict(
    case_sensitive=True,
    extra="forbid",
    frozen=True,
    hide_input_in_errors=True,
    strict=True,
    use_attribute_docstrings=True,
)


class Section(BaseModel):
    """Some keys that belong together; the docstring under each key is its description in the schema."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def _may_be_empty(cls, value: Any) -> Any:
        """Take a heading with nothing below it, all keys commented out, as the defaults."""
        return {} if value is None else value

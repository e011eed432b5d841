"""Personal data in the store, and how it is brought into the form that the configuration wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Hide = Callable[[str], str | None]
"""Returns what is stored in place of a value; what it returned before it returns unchanged."""


class Subject(StrEnum):
    """What may be stored in plain, as a hash, or not at all."""

    EXTERNAL_USER_ID = "external_user_id"
    CLIENT_USER_ID = "client_user_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredForm:
    """The form that all stored values of a subject were brought into, and when.

    ``settled`` says that they were looked at once more since, as another replica may have written the earlier form.
    """

    mode: str
    rewritten_at: datetime
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """How many values one step changed, and after which user the next one begins; None after the last."""

    changed: int
    after: int | None


class PersonalData(Protocol):
    """The personal data of one database."""

    async def forms(self) -> Mapping[Subject, StoredForm]:
        """Return what is known of the form of each subject."""
        ...

    async def note_form(self, subject: Subject, form: StoredForm) -> None:
        """Keep the form that a subject is in now."""
        ...

    async def hide(self, subject: Subject, hide: Hide, *, after: int, limit: int) -> Hidden:
        """Change the values of the next ``limit`` users by ``hide``, in one transaction: current ones and past ones."""
        ...

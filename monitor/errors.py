"""The one exception tree.

::

    MonitorError
    ├── ConfigurationError      what a person wrote cannot work; exit code 2
    ├── UsageError              a command cannot be carried out as typed; exit code 2
    └── StoreError
        ├── StoreUnavailable    transient: the database does not answer; the work is tried again
        │   └── StoreConflict   it does, but another transaction was in the way; no outage, the work is tried again
        ├── SchemaMismatch      fatal: the schema is not at the revision this program was built for
        └── StoreInUse          fatal: another daemon runs on this SQLite file

Transient and fatal differ by class. What an answer of Junction means is never an exception: it is a value
(see :class:`monitor.core.model.Outcome`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

REACH: Final = "see that the database of database.url runs and can be reached from here"
"""What a person does where the store is unavailable."""


class MonitorError(Exception):
    """Anything this program raises on purpose; its text is one line for a person."""


class ConfigurationError(MonitorError):
    """One line per fault, each naming the file, the key and what was expected."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Keep ``faults`` in the order they are to be read."""
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class UsageError(MonitorError):
    """A command that cannot be carried out as typed."""


class StoreError(MonitorError):
    """The database and this program do not get along."""


class StoreUnavailable(StoreError):  # noqa: N818 - it names a state that passes, not a fault in the program
    """The database does not answer now; the same work may succeed later. ``advice`` says why and what to look at."""

    def __init__(self, reason: str, remedy: str = REACH) -> None:
        super().__init__(reason)
        self.advice = f"{reason}; {remedy}" if remedy else reason


class StoreConflict(StoreUnavailable):
    """Another transaction was in the way, and nothing was written; the same work succeeds when it is tried again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, remedy="another program changes the same rows; try again")


class SchemaMismatch(StoreError):  # noqa: N818 - it names what was found
    """The schema is not at the revision this program was built for."""


class StoreInUse(StoreError):  # noqa: N818 - it names what was found
    """Another daemon runs on this SQLite file."""
